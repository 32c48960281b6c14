//! Access tokens in the form that those who look for them expect, with checksums that are right.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::chance::{ALPHANUMERIC, Chance, HEX, LOWER};

/// Base32's alphabet, which AWS uses for ids.
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const UPPER_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// The alphabet of URL-safe base64.
pub(crate) const URL_SAFE_LETTERS: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/// A token whose last six characters are the CRC32 of those between prefix and checksum, in base 62: GitHub's form
/// since 2021, and npm's.
fn checked(prefix: &str, random: String) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = flate2::Crc::new();
    crc.update(random.as_bytes());
    let mut sum = crc.sum();
    let mut checksum = [b'0'; 6];
    for digit in checksum.iter_mut().rev() {
        *digit = DIGITS[(sum % 62) as usize];
        sum /= 62;
    }
    format!("{prefix}{random}{}", String::from_utf8_lossy(&checksum))
}

/// A classic personal token of GitHub.
pub(crate) fn github(chance: &mut Chance) -> String {
    checked("ghp_", chance.word(30))
}

/// The token that GitHub's command line gets.
pub(crate) fn github_cli(chance: &mut Chance) -> String {
    checked("gho_", chance.word(30))
}

/// A fine-grained token of GitHub.
pub(crate) fn github_fine(chance: &mut Chance) -> String {
    let first = chance.text(UPPER_DIGITS, 22);
    let second = chance.word(53);
    checked(&format!("github_pat_{first}_"), second)
}

/// A granular token of npm.
pub(crate) fn npm(chance: &mut Chance) -> String {
    checked("npm_", chance.word(30))
}

/// A personal token of GitLab.
pub(crate) fn gitlab(chance: &mut Chance) -> String {
    format!("glpat-{}", chance.text(URL_SAFE_LETTERS, 20))
}

/// Id of an access key of AWS: base32 whose first bits hold an account's number.
pub(crate) fn aws_id(chance: &mut Chance) -> String {
    let mut bytes: [u8; 10] = chance.bytes();
    // the account is in the first six bytes, shifted by seven bits; real ones have twelve decimal digits
    let account = (100_000_000_000 + chance.number() % 900_000_000_000) << 7;
    let account = 1 << 47 | account | chance.number() & 0x7f;
    bytes[..6].copy_from_slice(&account.to_be_bytes()[2..]);
    let bits = bytes.iter().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
    let id: String = (0..16)
        .rev()
        .map(|place| char::from(BASE32[(bits >> (5 * place) & 31) as usize]))
        .collect();
    format!("AKIA{id}")
}

/// The secret that goes with an access key of AWS: 30 bytes in base64.
pub(crate) fn aws_secret(chance: &mut Chance) -> String {
    STANDARD.encode(chance.vec(30))
}

/// A token for uploading to a package index: a macaroon, version 2, that names the index's host.
pub(crate) fn index_upload(chance: &mut Chance, host: &str) -> String {
    let mut packet = vec![2];
    let mut field = |kind: u8, bytes: &[u8]| {
        packet.push(kind);
        // lengths are varints; all of ours are below 128
        let bytes = &bytes[..bytes.len().min(127)];
        packet.push(u8::try_from(bytes.len()).unwrap_or(0));
        packet.extend_from_slice(bytes);
    };
    field(1, host.as_bytes());
    field(2, chance.uuid().as_bytes());
    packet.push(0);
    let mut field = |kind: u8, bytes: &[u8]| {
        packet.push(kind);
        packet.push(u8::try_from(bytes.len()).unwrap_or(0));
        packet.extend_from_slice(bytes);
    };
    field(2, format!("[3,\"{}\"]", chance.uuid()).as_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.push(6);
    packet.push(32);
    packet.extend_from_slice(&chance.bytes::<32>());
    format!("pypi-{}", URL_SAFE_NO_PAD.encode(packet))
}

/// A bot's token of Slack.
pub(crate) fn slack(chance: &mut Chance) -> String {
    let (team, bot) = (
        chance.between(1_000_000_000_000, 8_999_999_999_999),
        chance.between(1_000_000_000_000, 8_999_999_999_999),
    );
    format!("xoxb-{team}-{bot}-{}", chance.word(24))
}

/// The address of an incoming hook of Slack, without its host: who knows it may post.
pub(crate) fn slack_hook(chance: &mut Chance) -> String {
    format!(
        "T{}/B{}/{}",
        chance.text(UPPER_DIGITS, 10),
        chance.text(UPPER_DIGITS, 10),
        chance.word(24)
    )
}

/// A key of a language model's service, with the mark that the best known have in the middle.
pub(crate) fn openai(chance: &mut Chance) -> String {
    let length = chance.pick(&[58, 74]);
    format!(
        "sk-proj-{}T3BlbkFJ{}",
        chance.text(URL_SAFE_LETTERS, length),
        chance.text(URL_SAFE_LETTERS, length)
    )
}

/// A key of Anthropic's service.
pub(crate) fn anthropic(chance: &mut Chance) -> String {
    format!("sk-ant-api03-{}AA", chance.text(URL_SAFE_LETTERS, 93))
}

/// A secret key of Stripe, for live payments.
pub(crate) fn stripe(chance: &mut Chance) -> String {
    let length = chance.pick(&[24, 99]);
    format!("sk_live_{}", chance.word(length))
}

/// A key of a service that sends mail (`SG.`).
pub(crate) fn sendgrid(chance: &mut Chance) -> String {
    format!(
        "SG.{}.{}",
        URL_SAFE_NO_PAD.encode(chance.bytes::<16>()),
        URL_SAFE_NO_PAD.encode(chance.bytes::<32>())
    )
}

/// A service token of Vault: `hvs.` and a protobuf message in base64.
pub(crate) fn vault(chance: &mut Chance) -> String {
    let mut message = vec![0x0a, 24];
    message.extend_from_slice(chance.word(24).as_bytes());
    message.extend_from_slice(&[0x1a, 32]);
    message.extend_from_slice(&chance.bytes::<32>());
    message.extend_from_slice(&[0x22, 28]);
    message.extend_from_slice(format!("hvs.{}", chance.word(24)).as_bytes());
    format!("hvs.{}", URL_SAFE_NO_PAD.encode(message))
}

/// A user's token of Terraform's service.
pub(crate) fn terraform(chance: &mut Chance) -> String {
    format!(
        "{}.atlasv1.{}",
        chance.word(14),
        chance.text(URL_SAFE_LETTERS, 67)
    )
}

/// A token of a Rust registry.
pub(crate) fn cargo(chance: &mut Chance) -> String {
    format!("cio{}", chance.word(32))
}

/// A personal token of a cloud (`dop_v1_`).
pub(crate) fn digital_ocean(chance: &mut Chance) -> String {
    format!("dop_v1_{}", chance.text(HEX, 64))
}

/// A token of Discord: a user's number, a time, a signature.
pub(crate) fn discord(chance: &mut Chance, now: i64) -> String {
    let user = chance.between(200_000_000_000_000_000, 1_100_000_000_000_000_000);
    // seconds since 2011, as Discord's tokens count
    let time = u32::try_from(now - 1_293_840_000).unwrap_or(0);
    format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(user.to_string()),
        URL_SAFE_NO_PAD.encode(time.to_be_bytes()),
        URL_SAFE_NO_PAD.encode(chance.bytes::<28>())
    )
}

/// A signed token (JWT, HS256) of an account of a cluster or service.
pub(crate) fn jwt(chance: &mut Chance, issuer: &str, subject: &str, now: i64) -> String {
    let issued = now - chance.between(3_600, 86_400 * 20);
    let header = format!(
        r#"{{"alg":"HS256","typ":"JWT","kid":"{}"}}"#,
        chance.text(HEX, 16)
    );
    let claims = format!(
        r#"{{"iss":"{issuer}","sub":"{subject}","iat":{issued},"exp":{},"jti":"{}"}}"#,
        issued + 86_400 * 365,
        chance.uuid()
    );
    format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims),
        URL_SAFE_NO_PAD.encode(chance.bytes::<32>())
    )
}

/// A Fernet key, as Django and Airflow projects keep them.
pub(crate) fn fernet(chance: &mut Chance) -> String {
    URL_SAFE.encode(chance.bytes::<32>())
}

/// A password that a person's password manager made.
pub(crate) fn password(chance: &mut Chance) -> String {
    let mut alphabet = ALPHANUMERIC.to_vec();
    alphabet.extend_from_slice(chance.pick(&[&b"!*-_"[..], b".+-", b"-_", b""]));
    let length = 16 + chance.below(9);
    chance.text(&alphabet, length)
}

/// A plain word in lower case with digits, for user-like ids.
pub(crate) fn slug(chance: &mut Chance, length: usize) -> String {
    chance.text(LOWER, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance() -> Chance {
        Chance::new(&[7; 32], "token")
    }

    #[test]
    fn githubs_checksum_is_the_published_one() {
        // CRC32 of "123456789" is 0xcbf43926 by every description of the algorithm, in base 62 3j60ye
        let mut value = 0xcbf4_3926u64;
        let token = checked("ghp_", "123456789".into());
        let mut digits = String::new();
        for _ in 0..6 {
            let digit = u8::try_from(value % 62).unwrap();
            digits.insert(
                0,
                char::from(match digit {
                    0..10 => b'0' + digit,
                    10..36 => b'A' + digit - 10,
                    _ => b'a' + digit - 36,
                }),
            );
            value /= 62;
        }
        assert_eq!(token, format!("ghp_123456789{digits}"));
        assert_eq!(github(&mut chance()).len(), 40);
        assert_eq!(github_fine(&mut chance()).len(), 93);
        assert_eq!(npm(&mut chance()).len(), 40);
    }

    #[test]
    fn an_upload_token_is_a_macaroon_of_its_host() {
        let token = index_upload(&mut chance(), "index.example");
        let bytes = URL_SAFE_NO_PAD
            .decode(token.strip_prefix("pypi-").unwrap())
            .unwrap();
        assert!(bytes.starts_with(b"\x02\x01\x0dindex.example\x02\x24"));
        assert_eq!(bytes[bytes.len() - 34..bytes.len() - 32], [6, 32]);
    }

    #[test]
    fn aws_ids_hold_an_account() {
        let id = aws_id(&mut chance());
        assert_eq!(id.len(), 20);
        assert!(id[4..].bytes().all(|b| BASE32.contains(&b)));
        let bits = id[4..].bytes().fold(0u128, |sum, b| {
            sum << 5 | BASE32.iter().position(|c| *c == b).unwrap() as u128
        });
        let account = bits >> 39 & ((1 << 40) - 1);
        assert_eq!(account.to_string().len(), 12, "{account}");
        assert_eq!(aws_secret(&mut chance()).len(), 40);
    }

    #[test]
    fn signed_tokens_have_three_parts_of_json() {
        let token = jwt(
            &mut chance(),
            "kubernetes/serviceaccount",
            "system:x",
            1_790_000_000,
        );
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        for part in &parts[..2] {
            let json = URL_SAFE_NO_PAD.decode(part).unwrap();
            serde_json::from_slice::<serde_json::Value>(&json).unwrap();
        }
    }
}
