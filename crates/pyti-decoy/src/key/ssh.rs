//! `~/.ssh`: keys as `ssh-keygen` writes them, known hosts, and which hosts are used.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::rsa::{Primes, RsaKey};
use super::{Pem, ed25519, place};
use crate::home::Home;

/// A field of the wire format: its length, then its bytes.
fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
    [&length, bytes].concat()
}

/// A natural number: with a zero in front when it would look negative.
fn number(bytes: &[u8]) -> Vec<u8> {
    if bytes.first().is_some_and(|b| b & 0x80 != 0) {
        field(&[&[0], bytes].concat())
    } else {
        field(bytes)
    }
}

/// The file of a private key, without a passphrase.
fn private(public: &[u8], own: &[u8], comment: &str, check: [u8; 4]) -> Vec<u8> {
    let mut inner = [&check, &check, own, &field(comment.as_bytes())].concat();
    let mut pad = 1;
    while inner.len() % 8 != 0 {
        inner.push(pad);
        pad += 1;
    }
    [
        b"openssh-key-v1\0",
        &field(b"none")[..],
        &field(b"none"),
        &field(b""),
        &1u32.to_be_bytes(),
        &field(public),
        &field(&inner),
    ]
    .concat()
}

pub(super) fn furnish(home: &mut Home<'_>, primes: &Primes) {
    let comment = format!("{}@{}", home.user, home.host);
    home.folder(".ssh", 0o700);

    let mut chance = home.chance("ssh ed25519");
    let secret: [u8; 32] = chance.bytes();
    let key = ed25519::public(&secret);
    let public = [field(b"ssh-ed25519"), field(&key)].concat();
    let own = [public.clone(), field(&[secret, key].concat())].concat();
    write(home, "ed25519", "ssh-ed25519", &public, &own, &secret, &comment);

    let rsa = primes.key(0, 1);
    let exponent = RsaKey::exponent();
    let public = [field(b"ssh-rsa"), number(&exponent), number(&rsa.n)].concat();
    let own = [
        field(b"ssh-rsa"),
        number(&rsa.n),
        number(&exponent),
        number(&rsa.d),
        number(&rsa.q_inverse),
        number(&rsa.p),
        number(&rsa.q),
    ]
    .concat();
    // the comment of an older key may name an older machine
    let older = format!("{}@{}", home.user, home.persona.company);
    write(home, "rsa", "ssh-rsa", &public, &own, &rsa.d, &older);
    hosts(home);
}

fn write(
    home: &mut Home<'_>,
    kind: &str,
    name: &str,
    public: &[u8],
    own: &[u8],
    secret: &[u8],
    comment: &str,
) {
    let mut chance = home.chance(&format!("ssh check {kind}"));
    let bytes = private(public, own, comment, chance.bytes());
    let pem = Pem::new("OPENSSH PRIVATE KEY", &bytes, 70);
    let (from, to) = place(secret, &bytes);
    let secrets = pem.secret_lines(from, to);
    home.decoy(
        &format!("ssh.{kind}"),
        &format!(".ssh/id_{kind}"),
        pem.text.as_str(),
        &secrets,
    );
    home.file(
        &format!(".ssh/id_{kind}.pub"),
        format!("{name} {} {comment}\n", STANDARD.encode(public)),
    );
}

fn hosts(home: &mut Home<'_>) {
    let mut chance = home.chance("ssh hosts");
    let domain = home.persona.domain.clone();
    let names = ["bastion", "git", "build", "db", "gpu"];
    let (mut config, mut known) = (String::new(), String::new());
    for name in names.iter().take(2 + chance.below(4)) {
        config.push_str(&format!(
            "Host {name}\n    HostName {name}.{domain}\n    User {}\n    IdentityFile ~/.ssh/id_{}\n",
            chance.pick(&[home.user, "deploy", "admin", "git"]),
            chance.pick(&["ed25519", "rsa"])
        ));
        if chance.once_in(2) {
            config.push_str(&format!("    Port {}\n", chance.between(2200, 2299)));
        }
        config.push('\n');
        let key = [field(b"ssh-ed25519"), field(&ed25519::public(&chance.bytes()))].concat();
        // names are hashed in Debian: salt and code, which nobody can check without the name
        let (salt, code): ([u8; 20], [u8; 20]) = (chance.bytes(), chance.bytes());
        known.push_str(&format!(
            "|1|{}|{} ssh-ed25519 {}\n",
            STANDARD.encode(salt),
            STANDARD.encode(code),
            STANDARD.encode(key)
        ));
    }
    home.file_with_mode(".ssh/config", config, 0o600);
    home.file_with_mode(".ssh/known_hosts", known, 0o600);
    let key = [field(b"ssh-ed25519"), field(&ed25519::public(&chance.bytes()))].concat();
    let print = STANDARD_NO_PAD.encode(Sha256::digest(&key));
    home.file_with_mode(
        ".ssh/authorized_keys",
        format!(
            "ssh-ed25519 {} backup-{}\n",
            STANDARD.encode(key),
            &print[..6].replace(['+', '/'], "x")
        ),
        0o600,
    );
}
