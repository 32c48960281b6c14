//! Who vouches for the names of a network that isn't there: one authority for each job, a certificate for each name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::SinkError;

/// Certificates that are kept; beyond, they are made again.
const CACHED: usize = 512;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// An authority of a job's own. Its key never leaves this value, and ends with it.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    /// All certificates share one key: what differs is the name.
    leaf: KeyPair,
    signer: Arc<dyn SigningKey>,
    provider: Arc<CryptoProvider>,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Makes a new one: a key of its own on P-256.
    pub fn new() -> Result<Self, SinkError> {
        let key = KeyPair::generate().map_err(SinkError::Certificate)?;
        let mut params = CertificateParams::default();
        name(&mut params, "Global Services Root CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        valid(&mut params, 30, 3650);
        let certificate = params.self_signed(&key).map_err(SinkError::Certificate)?;
        let leaf = KeyPair::generate().map_err(SinkError::Certificate)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.serialize_der()));
        let signer = provider
            .key_provider
            .load_private_key(der)
            .map_err(SinkError::Tls)?;
        Ok(Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
            leaf,
            signer,
            provider,
            made: Mutex::default(),
        })
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A bundle of trusted certificates: the system's, where there is one, and ours.
    pub fn bundle(&self, system: Option<&[u8]>) -> Vec<u8> {
        let mut bundle = system.unwrap_or_default().to_vec();
        if !bundle.is_empty() && !bundle.ends_with(b"\n") {
            bundle.push(b'\n');
        }
        bundle.extend_from_slice(self.pem.as_bytes());
        bundle
    }

    /// How a server of this name speaks TLS, for a client that offers these protocols.
    pub(crate) fn server(&self, server: &str, offered: &[Vec<u8>]) -> Result<Arc<ServerConfig>, SinkError> {
        let key = self.certificate(server)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(SinkError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(key)));
        // tickets would lie unread in the client's socket and turn its close into a reset
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let known = [b"h2".to_vec(), b"http/1.1".to_vec()];
        config.alpn_protocols = known.into_iter().filter(|p| offered.contains(p)).collect();
        if config.alpn_protocols.is_empty() {
            // whatever it is, it goes on
            config.alpn_protocols.extend(offered.first().cloned());
        }
        Ok(Arc::new(config))
    }

    fn certificate(&self, server: &str) -> Result<Arc<CertifiedKey>, SinkError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = made.get(server) {
            return Ok(Arc::clone(key));
        }
        let mut params = CertificateParams::default();
        let subject = match server.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(server.try_into().map_err(SinkError::Certificate)?),
        };
        params.subject_alt_names.push(subject);
        // a common name has at most 64 characters
        name(&mut params, &server.chars().take(64).collect::<String>());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid(&mut params, 14, 76);
        let certificate = params
            .signed_by(&self.leaf, &self.issuer)
            .map_err(SinkError::Certificate)?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = Arc::new(CertifiedKey::new(chain, Arc::clone(&self.signer)));
        if made.len() >= CACHED {
            made.clear();
        }
        made.insert(server.to_owned(), Arc::clone(&key));
        Ok(key)
    }
}

fn name(params: &mut CertificateParams, common: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
}

/// From some days ago to some days ahead.
fn valid(params: &mut CertificateParams, before: i64, after: i64) {
    let now = std::time::SystemTime::now();
    let seconds = |days: i64| std::time::Duration::from_secs((days * DAY).unsigned_abs());
    params.not_before = (now - seconds(before)).into();
    params.not_after = (now + seconds(after)).into();
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Files in which systems keep the certificates that they trust: a bundle is shown over each that exists.
pub const BUNDLE_PLACES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/usr/lib/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The variables that make programs trust a bundle, and nothing else, for a bundle that lies at `bundle` in the box.
///
/// `SSL_CERT_DIR` is not among them: OpenSSL looks into its folder besides the file, and the folder's links may stay
/// as they are.
pub fn trust_variables(bundle: &str) -> Vec<(&'static str, String)> {
    [
        // OpenSSL, and so Python's ssl, Ruby, wget; Go; rustls-native-certs, and so uv
        "SSL_CERT_FILE",
        // requests, which reads certifi's file otherwise
        "REQUESTS_CA_BUNDLE",
        // curl, and libcurl's tools; requests as its second choice
        "CURL_CA_BUNDLE",
        // pip, which brings its own certifi
        "PIP_CERT",
        // Node adds it to what is built in
        "NODE_EXTRA_CA_CERTS",
        // git over HTTPS
        "GIT_SSL_CAINFO",
        // boto3, botocore and the AWS command line
        "AWS_CA_BUNDLE",
        // httplib2, grpc, Deno, cargo, Nix
        "HTTPLIB2_CA_CERTS",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
        "DENO_CERT",
        "CARGO_HTTP_CAINFO",
        "NIX_SSL_CERT_FILE",
    ]
    .into_iter()
    .map(|name| (name, bundle.to_owned()))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_what_is_neither() {
        let authority = Authority::new().unwrap();
        for server in [
            "a.example",
            "198.18.0.1",
            "2001:db8::1",
            "xn--bcher-kva.example",
            "*",
        ] {
            assert!(authority.server(server, &[]).is_ok(), "{server}");
        }
        assert!(authority.server("b\u{fc}cher.example", &[]).is_err());
        let long = vec!["a".repeat(63); 4].join(".");
        assert!(authority.server(&long, &[]).is_ok());
    }

    #[test]
    fn a_bundle_holds_the_systems_and_ours() {
        let authority = Authority::new().unwrap();
        let bundle = authority.bundle(Some(b"-----SYSTEM-----"));
        assert!(bundle.starts_with(b"-----SYSTEM-----\n-----BEGIN CERTIFICATE-----"));
        assert_eq!(authority.bundle(None), authority.pem().as_bytes());
        assert!(trust_variables("/x").iter().all(|(_, value)| value == "/x"));
    }

    #[test]
    fn protocols_are_agreed_on() {
        let authority = Authority::new().unwrap();
        let agreed = |offered: &[&str]| {
            let offered: Vec<Vec<u8>> = offered.iter().map(|p| p.as_bytes().to_vec()).collect();
            authority
                .server("a.example", &offered)
                .unwrap()
                .alpn_protocols
                .clone()
        };
        assert_eq!(
            agreed(&["http/1.1", "h2"]),
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
        assert_eq!(agreed(&["http/1.1"]), [b"http/1.1".to_vec()]);
        assert_eq!(agreed(&["mqtt", "x"]), [b"mqtt".to_vec()]);
        assert!(agreed(&[]).is_empty());
    }
}
