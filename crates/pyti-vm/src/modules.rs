//! Which kernel modules a guest needs, and in which order they are loaded. Pure, but for reading their files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// What a guest uses that Debian's cloud kernel has as modules. What a kernel has built in is no module, and not missed.
pub const WANTED: &[&str] = &[
    "virtio_mmio",
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "erofs",
    "overlay",
    "veth",
    "tun",
    "9pnet_virtio",
    "9p",
    "virtiofs",
];

/// Largest module that is read, bytes.
const CAP: u64 = 64 << 20;
/// What ends a module that is signed.
const SIGNED: &[u8] = b"~Module signature appended~\n";
/// Bytes of the description of a signature; its last four are the signature's length, big-endian.
const DESCRIPTION: usize = 12;

/// A module, as it goes into the initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name, with underscores.
    pub name: String,
    /// The ELF file, without a signature.
    pub bytes: Vec<u8>,
}

/// A name as the kernel writes it.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The names that a module needs, from its `.modinfo`.
pub fn depends(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = module.windows(key.len()).position(|w| w == key) else {
        return Vec::new();
    };
    let rest = &module[at + key.len()..];
    let end = rest.iter().position(|b| *b == 0).unwrap_or(0);
    String::from_utf8_lossy(&rest[..end])
        .split(',')
        .filter(|name| !name.is_empty())
        .map(normal)
        .collect()
}

/// The module without its signature: checking it would cost a guest time, and says nothing here.
pub fn unsigned(mut module: Vec<u8>) -> Vec<u8> {
    let Some(described) = module.len().checked_sub(SIGNED.len()) else {
        return module;
    };
    if &module[described..] != SIGNED {
        return module;
    }
    let Some(start) = described.checked_sub(DESCRIPTION) else {
        return module;
    };
    let length: [u8; 4] = module[described - 4..described].try_into().unwrap_or_default();
    let size = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if let Some(end) = start.checked_sub(size) {
        module.truncate(end);
    }
    module
}

/// Puts modules after those that they need. What needs each other is left out.
pub fn order(wanted: &[String], needs: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    fn add(
        name: &str,
        needs: &BTreeMap<String, Vec<String>>,
        on_the_way: &mut BTreeSet<String>,
        ordered: &mut Vec<String>,
    ) {
        if ordered.iter().any(|o| o == name) || !on_the_way.insert(name.to_owned()) {
            return;
        }
        for need in needs.get(name).into_iter().flatten() {
            add(need, needs, on_the_way, ordered);
        }
        ordered.push(name.to_owned());
    }
    let (mut on_the_way, mut ordered) = (BTreeSet::new(), Vec::new());
    for name in wanted {
        add(name, needs, &mut on_the_way, &mut ordered);
    }
    ordered
}

/// Reads the wanted modules below a folder of `lib/modules/…/kernel`, with what they need, in the order of loading.
pub fn collect(folder: &Path) -> io::Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    find(folder, &mut files)?;
    let mut needs = BTreeMap::new();
    let mut read: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut todo: Vec<String> = WANTED.iter().map(|name| normal(name)).collect();
    let wanted: Vec<String> = todo
        .iter()
        .filter(|name| files.contains_key(*name))
        .cloned()
        .collect();
    while let Some(name) = todo.pop() {
        let Some(path) = files.get(&name).filter(|_| !read.contains_key(&name)) else {
            continue;
        };
        let bytes = load(path)?;
        let needed = depends(&bytes);
        todo.extend(needed.iter().cloned());
        needs.insert(name.clone(), needed);
        read.insert(name, unsigned(bytes));
    }
    Ok(order(&wanted, &needs)
        .into_iter()
        .filter_map(|name| read.remove(&name).map(|bytes| Module { name, bytes }))
        .collect())
}

fn find(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files)?;
        } else if let Some(name) = entry.file_name().to_string_lossy().split(".ko").next()
            && entry.file_name().to_string_lossy().contains(".ko")
        {
            files.insert(normal(name), entry.path());
        }
    }
    Ok(())
}

fn load(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?.take(CAP);
    let mut bytes = Vec::new();
    match path.extension().and_then(|e| e.to_str()) {
        Some("ko") => fs::File::open(path)?.take(CAP).read_to_end(&mut bytes)?,
        Some("xz") => liblzma::read::XzDecoder::new(file)
            .take(CAP)
            .read_to_end(&mut bytes)?,
        other => {
            let how = other.unwrap_or("?").to_owned();
            return Err(io::Error::other(format!("{}: packed by {how}", path.display())));
        }
    };
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_read_and_come_first() {
        let module = b"\x7fELF..\0license=GPL\0depends=crc16,netfs-core\0name=x\0";
        assert_eq!(depends(module), ["crc16", "netfs_core"]);
        assert_eq!(depends(b"\0depends=\0"), Vec::<String>::new());
        assert_eq!(depends(b"\0depends="), Vec::<String>::new());
        let needs: BTreeMap<_, _> = [("a", vec!["b"]), ("b", vec!["c", "a"]), ("c", vec![])]
            .map(|(n, l)| (n.to_owned(), l.into_iter().map(str::to_owned).collect()))
            .into();
        assert_eq!(order(&["a".to_owned(), "c".to_owned()], &needs), ["c", "b", "a"]);
    }

    #[test]
    fn a_signature_goes_and_nothing_else() {
        let plain = b"\x7fELF and so on".to_vec();
        let mut signed = plain.clone();
        signed.extend([9; 100]);
        signed.extend([0; 8]);
        signed.extend(100u32.to_be_bytes());
        signed.extend(SIGNED);
        assert_eq!(unsigned(signed.clone()), plain);
        assert_eq!(unsigned(plain.clone()), plain);
        // a length that lies takes nothing away
        let at = signed.len() - SIGNED.len() - 4;
        signed[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(unsigned(signed.clone()), signed);
    }
}
