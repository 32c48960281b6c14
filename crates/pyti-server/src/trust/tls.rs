//! Certificates: our own authority and what it vouches for, or those that are given.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use pyti_model::Digest;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Tls;
use crate::error::ServerError;

/// Days that a certificate of our authority is good; it is made anew long before.
const DAYS: u64 = 60;
/// Days that our authority is good.
const AUTHORITY_DAYS: u64 = 3650;

/// How TLS is spoken, and by which authority if it is ours.
pub(crate) struct Speaks {
    pub(crate) config: Arc<ServerConfig>,
    /// SHA-256 of our authority's certificate.
    pub(crate) authority: Option<Digest>,
    current: Arc<Current>,
    renew: Option<Own>,
}

impl Speaks {
    /// Makes the certificate anew, where it is ours to make. Once a day is often enough.
    pub(crate) fn renew(&self) -> Result<(), ServerError> {
        if let Some(own) = &self.renew {
            self.current.set(own.leaf()?);
        }
        Ok(())
    }
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn set(&self, key: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Our own authority, and the names that it vouches for.
struct Own {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    names: Vec<String>,
}

fn wrong(error: impl std::fmt::Display) -> ServerError {
    ServerError::Certificate(error.to_string())
}

/// How TLS is spoken as configured; `None` if it is not.
pub(crate) fn speaks(
    tls: &Tls,
    folder: &Path,
    hosts: &[String],
    listen: &[SocketAddr],
) -> Result<Option<Speaks>, ServerError> {
    let (key, authority, renew) = match tls {
        Tls::Off => return Ok(None),
        Tls::Given { certificate, key } => (given(certificate, key)?, None, None),
        Tls::Own => {
            let own = Own::open(folder, names(hosts, listen))?;
            let digest = ring::digest::digest(&ring::digest::SHA256, &own.certificate);
            let digest = <[u8; 32]>::try_from(digest.as_ref()).map_err(wrong)?;
            (own.leaf()?, Some(Digest::from(digest)), Some(own))
        }
    };
    let current = Arc::new(Current(RwLock::new(Arc::new(key))));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Speaks {
        config: Arc::new(config),
        authority,
        current,
        renew,
    }))
}

/// Names and addresses that we are reached by.
fn names(hosts: &[String], listen: &[SocketAddr]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    names.extend(hosts.iter().cloned());
    let own = rustix::system::uname();
    names.extend(own.nodename().to_str().ok().map(str::to_owned));
    names.extend(
        listen
            .iter()
            .filter(|address| !address.ip().is_unspecified())
            .map(|address| address.ip().to_string()),
    );
    names.sort();
    names.dedup();
    names
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, ServerError> {
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(wrong)
}

fn given(certificate: &Path, key: &Path) -> Result<CertifiedKey, ServerError> {
    let named = |path: &Path, error: &dyn std::fmt::Display| {
        ServerError::Certificate(format!("{}: {error}", path.display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| named(certificate, &error))?
        .collect::<Result<_, _>>()
        .map_err(|error| named(certificate, &error))?;
    if chain.is_empty() {
        return Err(named(certificate, &"no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| named(key, &error))?;
    certified(chain, key)
}

impl Own {
    /// Opens the authority of a folder, or makes it.
    fn open(folder: &Path, names: Vec<String>) -> Result<Self, ServerError> {
        crate::controller::private_folder(folder)?;
        let (key_path, certificate_path) = (folder.join("authority.key"), folder.join("authority.pem"));
        let key = if key_path.exists() {
            let text = std::fs::read_to_string(&key_path).map_err(ServerError::io(&key_path))?;
            KeyPair::from_pem(&text).map_err(wrong)?
        } else {
            let key = KeyPair::generate().map_err(wrong)?;
            write(&key_path, &key.serialize_pem())?;
            key
        };
        let certificate = if certificate_path.exists() {
            CertificateDer::from_pem_file(&certificate_path).map_err(wrong)?
        } else {
            let made = authority(&key).self_signed(&key).map_err(wrong)?;
            write(&certificate_path, &made.pem())?;
            made.der().clone()
        };
        let issuer = Issuer::new(authority(&key), key);
        Ok(Self {
            issuer,
            certificate,
            names,
        })
    }

    /// A certificate for our names, with the authority's behind it, so that who knows its fingerprint finds it.
    fn leaf(&self) -> Result<CertifiedKey, ServerError> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "PyTI controller");
        for name in &self.names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => match name.as_str().try_into() {
                    Ok(name) => SanType::DnsName(name),
                    Err(_) => continue,
                },
            });
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid(&mut params, DAYS);
        let key = KeyPair::generate().map_err(wrong)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(wrong)?;
        let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(wrong)?;
        certified(vec![leaf.der().clone(), self.certificate.clone()], der)
    }
}

/// What our authority is, apart from its times: a function of its key, so that it need not be read back.
fn authority(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let hash = ring::digest::digest(&ring::digest::SHA256, key.public_key_pem().as_bytes());
    let name = format!("PyTI authority {}", pyti_command::trust::hex(&hash.as_ref()[..4]));
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, AUTHORITY_DAYS);
    params
}

/// Good from yesterday on, because clocks differ.
fn valid(params: &mut CertificateParams, days: u64) {
    let now = std::time::SystemTime::now();
    let day = std::time::Duration::from_hours(24);
    params.not_before = (now - day).into();
    params.not_after = (now + std::time::Duration::from_hours(24 * days)).into();
}

/// Writes a file that only its owner can read.
fn write(path: &Path, text: &str) -> Result<(), ServerError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(ServerError::io(path))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(ServerError::io(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_authority_stays_and_its_key_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("tls");
        let first = speaks(&Tls::Own, &at, &["pyti.example".into()], &[])
            .unwrap()
            .unwrap();
        let again = speaks(&Tls::Own, &at, &[], &[]).unwrap().unwrap();
        assert!(first.authority.is_some());
        assert_eq!(first.authority, again.authority);
        let mode = std::fs::metadata(at.join("authority.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        first.renew().unwrap();
    }

    #[test]
    fn a_certificate_that_is_given_is_used_and_a_broken_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let pair = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec!["pyti.example".to_owned()])
            .unwrap()
            .self_signed(&pair)
            .unwrap();
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        let tls = Tls::Given {
            certificate: certificate.clone(),
            key: key.clone(),
        };
        let used = speaks(&tls, folder.path(), &[], &[]).unwrap().unwrap();
        assert!(used.authority.is_none());
        std::fs::write(&certificate, "nothing").unwrap();
        assert!(speaks(&tls, folder.path(), &[], &[]).is_err());
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(speaks(&tls, folder.path(), &[], &[]).is_err());
    }
}
