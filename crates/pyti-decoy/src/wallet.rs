//! Wallets of cryptocurrencies: files as their programs write them, of coins that do not exist.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::chance::{Chance, HEX};
use crate::date::Date;
use crate::home::Home;
use crate::store::sqlite::{Index, Marks, Table, database};
use crate::token;

pub(crate) fn furnish(home: &mut Home<'_>) {
    electrum(home);
    exodus(home);
    bitcoin(home);
    ethereum(home);
}

/// Base58 with a checksum, as addresses and extended keys have it.
fn base58(payload: &[u8]) -> String {
    const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let sum = Sha256::digest(Sha256::digest(payload));
    let bytes = [payload, &sum[..4]].concat();
    let mut digits: Vec<u32> = Vec::new();
    for byte in &bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|b| **b == 0).map(|_| 0);
    let digits: Vec<u32> = zeros.chain(digits.into_iter().rev()).collect();
    digits
        .into_iter()
        .map(|digit| char::from(DIGITS[digit as usize]))
        .collect()
}

/// An extended public key: version, depth, parent, number, chain code, key.
fn extended_key(chance: &mut Chance, version: [u8; 4]) -> String {
    let mut payload = version.to_vec();
    payload.push(3);
    payload.extend(chance.vec(4));
    payload.extend([0x80, 0, 0, 0]);
    payload.extend(chance.vec(32));
    payload.push(2 + chance.byte() % 2);
    payload.extend(chance.vec(32));
    base58(&payload)
}

fn electrum(home: &mut Home<'_>) {
    let mut chance = home.chance("electrum");
    // encrypted with a password: what is kept is base64
    let (seed, key) = (STANDARD.encode(chance.vec(96)), STANDARD.encode(chance.vec(144)));
    let public = extended_key(&mut chance, [0x04, 0xb2, 0x47, 0x46]);
    let text = format!(
        "{{\n    \"addr_history\": {{}},\n    \"keystore\": {{\n        \"derivation\": \"m/0'\",\n        \
         \"pw_hash_version\": 1,\n        \"root_fingerprint\": \"{}\",\n        \"seed\": \"{seed}\",\n        \
         \"seed_type\": \"segwit\",\n        \"type\": \"bip32\",\n        \"xprv\": \"{key}\",\n        \
         \"xpub\": \"{public}\"\n    }},\n    \"seed_version\": {},\n    \"use_encryption\": true,\n    \
         \"wallet_type\": \"standard\"\n}}\n",
        chance.text(HEX, 8),
        chance.between(53, 59)
    );
    let name = chance.pick(&["default_wallet", "wallet_1", "savings"]);
    home.decoy(
        "wallet.electrum",
        &format!(".electrum/wallets/{name}"),
        text,
        &[&seed[..64], &key[..64], &public],
    );
    home.file_with_mode(
        ".electrum/config",
        "{\n    \"check_updates\": false,\n    \"config_version\": 3\n}\n",
        0o600,
    );
}

fn exodus(home: &mut Home<'_>) {
    let mut chance = home.chance("exodus");
    let folder = ".config/Exodus/exodus.wallet";
    for name in ["seed.seco", "info.seco", "twofactor.seco"] {
        // magic, version, then what only its program reads
        let mut bytes = b"SECO\0\0\0\0\0\0\0\x0cseco-v0-scrypt-aes".to_vec();
        let length = 512 + chance.below(1024);
        bytes.extend(chance.vec(length));
        home.file_with_mode(&format!("{folder}/{name}"), bytes, 0o600);
    }
    let phrase = STANDARD.encode(chance.vec(32));
    home.decoy(
        "wallet.exodus",
        &format!("{folder}/passphrase.json"),
        format!("{{\"passphrase\":\"{phrase}\"}}"),
        &[&phrase],
    );
}

/// A wallet of Bitcoin Core since 2021: a database of keys and values.
fn bitcoin(home: &mut Home<'_>) {
    let mut chance = home.chance("bitcoin");
    let text = |text: &str| {
        let mut out = vec![u8::try_from(text.len()).unwrap_or(0)];
        out.extend_from_slice(text.as_bytes());
        out
    };
    let public = extended_key(&mut chance, [0x04, 0x88, 0xb2, 0x1e]);
    let id: [u8; 32] = chance.bytes();
    let descriptor = format!(
        "wpkh([{}/84h/0h/0h]{public}/0/*)#{}",
        chance.text(HEX, 8),
        token::slug(&mut chance, 8)
    );
    let master = [text("mkey"), 1u32.to_le_bytes().to_vec()].concat();
    let mut rows = vec![
        vec![
            [text("walletdescriptor"), id.to_vec()].concat().into(),
            [text(&descriptor), chance.vec(24)].concat().into(),
        ],
        vec![
            [text("walletdescriptorckey"), id.to_vec(), chance.vec(34)]
                .concat()
                .into(),
            [vec![48], chance.vec(48)].concat().into(),
        ],
        vec![
            master.into(),
            [vec![48], chance.vec(48), vec![8], chance.vec(20)]
                .concat()
                .into(),
        ],
        vec![text("version").into(), vec![0xac, 0x97, 4, 0].into()],
        vec![text("minversion").into(), vec![0x0c, 0x97, 2, 0].into()],
    ];
    chance.shuffle(&mut rows);
    let bytes = database(
        &[Table {
            name: "main",
            sql: "CREATE TABLE main(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)",
            rows,
            indexes: vec![Index::of_constraint("main", &[0])],
        }],
        Marks {
            user_version: 0,
            // the network's own mark
            application: 0xf9be_b4d9,
        },
    );
    home.decoy("wallet.bitcoin", ".bitcoin/wallet.dat", bytes, &[&public]);
}

/// A key of geth, encrypted with a password.
fn ethereum(home: &mut Home<'_>) {
    let mut chance = home.chance("ethereum");
    let (address, cipher) = (chance.text(HEX, 40), chance.text(HEX, 64));
    let text = format!(
        "{{\"address\":\"{address}\",\"crypto\":{{\"cipher\":\"aes-128-ctr\",\"ciphertext\":\"{cipher}\",\"cipherparams\":\
         {{\"iv\":\"{}\"}},\"kdf\":\"scrypt\",\"kdfparams\":{{\"dklen\":32,\"n\":262144,\"p\":1,\"r\":8,\"salt\":\"{}\"}},\
         \"mac\":\"{}\"}},\"id\":\"{}\",\"version\":3}}",
        chance.text(HEX, 32),
        chance.text(HEX, 64),
        chance.text(HEX, 64),
        chance.uuid()
    );
    let made = Date::of(home.now - chance.between(86_400 * 20, 86_400 * 800)).iso();
    let nanoseconds = chance.below(1_000_000_000);
    let name = format!(
        ".ethereum/keystore/UTC--{}.{nanoseconds:09}Z--{address}",
        made.trim_end_matches('Z').replace(':', "-")
    );
    home.decoy("wallet.ethereum", &name, text, &[&cipher]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base58_of_the_published_example() {
        // the first address of all: version 0, and the hash of its key
        let hash = [
            0x00, 0x62, 0xe9, 0x07, 0xb1, 0x5c, 0xbf, 0x27, 0xd5, 0x42, 0x53, 0x99, 0xeb, 0xf6, 0xf0, 0xfb,
            0x50, 0xeb, 0xb8, 0x8f, 0x18,
        ];
        assert_eq!(base58(&hash), "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa");
        let key = extended_key(&mut Chance::new(&[1; 32], "x"), [0x04, 0x88, 0xb2, 0x1e]);
        assert!(key.starts_with("xpub") && key.len() == 111);
    }
}
