//! Which symbols of the interpreter an extension module wants that claims the limited API.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use object::{Object as _, ObjectSymbol as _};
use pyti_model::quality::LimitedApi;

use crate::tree::Tree;

/// Largest file that is read.
const BYTES: u64 = 256 << 20;
/// Files that are looked at, and symbols of each that are listed.
const FILES: usize = 200;
const SYMBOLS: usize = 3_000;

/// Reads every file whose name says `abi3`.
pub(super) fn of(root: &Path, tree: &dyn Tree) -> Vec<LimitedApi> {
    let files = tree.files().iter().filter(|path| path.ends_with(".abi3.so"));
    files
        .take(FILES)
        .map(|path| {
            let (symbols, unread) = match read(&root.join(path)) {
                Ok(symbols) => (symbols, None),
                Err(why) => (Vec::new(), Some(why)),
            };
            LimitedApi {
                file: path.as_str().into(),
                symbols,
                unread,
            }
        })
        .collect()
}

fn read(path: &Path) -> Result<Vec<String>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > BYTES {
        return Err(format!("it has more than {BYTES} bytes"));
    }
    let file = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes)
        .map_err(|error| format!("no 64-bit ELF file: {error}"))?;
    let mut symbols: Vec<String> = file
        .dynamic_symbols()
        .filter(object::ObjectSymbol::is_undefined)
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
        .filter(|name| name.starts_with("Py") || name.starts_with("_Py"))
        .take(SYMBOLS)
        .collect();
    symbols.sort_unstable();
    symbols.dedup();
    Ok(symbols)
}
