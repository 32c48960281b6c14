"""Asks for a list of places where wallets lie. That few of them exist does not matter: the list is the
sign."""
import os

if os.environ.get("PYTI_CORPUS") == "looks-for-wallets":
    for place in (
        ".electrum/wallets",
        ".config/Exodus/exodus.wallet",
        ".config/atomic/Local Storage/leveldb",
        ".bitcoin/wallet.dat",
        ".ethereum/keystore",
        ".config/Coinomi/wallets",
        ".config/Guarda/Local Storage/leveldb",
        ".litecoin/wallet.dat",
        ".dash/wallet.dat",
        ".config/solana/id.json",
        ".config/google-chrome/Default/Local Extension Settings/nkbihfbeogaeaoehlefnkodbefgpgknn",
    ):
        os.path.exists(os.path.join(os.path.expanduser("~"), place))
