//! Which modules of others are imported, where, and how surely.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::quality::{ImportKind, Imported, Place};

use super::Module;
use crate::python::{Line, Source, Token};
use crate::stdlib;

/// Modules that are listed.
const LISTED: usize = 2_000;
/// Names of a dotted name that are kept.
const DEPTH: usize = 3;

/// Imports of all modules, each with its surest place.
pub(super) fn of(modules: &[Module], own: &[String]) -> Vec<Imported> {
    let mut found: BTreeMap<String, Imported> = BTreeMap::new();
    let reached = reached(modules);
    for module in modules.iter().filter(|module| !module.path.ends_with(".pyi")) {
        let at_most = reached.get(module.name.as_str()).copied().unwrap_or_default();
        for (name, kind, line) in imports(&module.source) {
            let kind = kind.max(at_most);
            let top = name.split('.').next().unwrap_or_default();
            if stdlib::has(top) || stdlib::had(top) || own.iter().any(|own| own == top) {
                continue;
            }
            // beside it, as when it is run from its own folder
            if is_neighbour(modules, &module.path, top) {
                continue;
            }
            let name = name.split('.').take(DEPTH).collect::<Vec<_>>().join(".");
            let new = Imported {
                module: name.clone(),
                kind,
                place: Place {
                    path: module.path.as_str().into(),
                    line: Some(line),
                    column: None,
                },
                aside: module.aside,
            };
            let full = found.len() >= LISTED;
            match found.get_mut(&name) {
                Some(known) if (known.aside, known.kind) <= (new.aside, new.kind) => {}
                Some(known) => *known = new,
                None if !full => {
                    found.insert(name, new);
                }
                None => {}
            }
        }
    }
    found.into_values().collect()
}

/// How surely each module is reached by the others: who is only ever imported within `try` may need what is not there.
/// A module that none of the others imports is for users, and sure.
fn reached(modules: &[Module]) -> BTreeMap<&str, ImportKind> {
    let names: BTreeSet<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let mut reached: BTreeMap<&str, ImportKind> = BTreeMap::new();
    for module in modules.iter().filter(|module| !module.aside) {
        for (target, kind) in own_imports(module) {
            if let Some(name) = names.get(target.as_str()).filter(|name| **name != module.name) {
                let known = reached.entry(name).or_insert(kind);
                *known = (*known).min(kind);
            }
        }
    }
    reached
}

/// What a module imports of its own distribution, with every name that may be a module.
fn own_imports(module: &Module) -> Vec<(String, ImportKind)> {
    let mut found = Vec::new();
    let package = if module.path.ends_with("__init__.py") {
        module.name.as_str()
    } else {
        module.name.rsplit_once('.').map_or("", |(package, _)| package)
    };
    each_import(&module.source, &mut |tokens, from, kind, _| {
        if !from {
            found.push((dotted(tokens), kind));
            return;
        }
        let dots = tokens.iter().take_while(|token| token.is('.')).count();
        let mut base: Vec<&str> = package
            .split('.')
            .filter(|part| dots > 0 && !part.is_empty())
            .collect();
        base.truncate((base.len() + 1).saturating_sub(dots.max(1)));
        let named = dotted(&tokens[dots..]);
        // `from . import x` names no module
        let named = named
            .strip_prefix("import")
            .filter(|rest| rest.is_empty())
            .unwrap_or(&named);
        base.extend(named.split('.').filter(|part| !part.is_empty()));
        let base = base.join(".");
        let after = tokens
            .iter()
            .position(|token| token.is_name("import"))
            .map_or(tokens.len(), |at| at + 1);
        for name in tokens[after..].iter().filter_map(Token::name) {
            found.push((format!("{base}.{name}"), kind));
        }
        found.push((base, kind));
    });
    found
}

fn is_neighbour(modules: &[Module], path: &str, top: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = [
        format!("{folder}/{top}.py"),
        format!("{folder}/{top}/__init__.py"),
    ];
    modules.iter().any(|module| beside.contains(&module.path))
}

/// Absolute imports of a source: dotted name, how surely, line.
fn imports(source: &Source) -> Vec<(String, ImportKind, u32)> {
    let mut found = Vec::new();
    each_import(source, &mut |tokens, _, kind, line| {
        // a dot at the beginning is a relative import
        push(&mut found, dotted(tokens), kind, line);
    });
    found
}

/// What is told of an import statement.
type Tell<'a> = dyn FnMut(&[Token], bool, ImportKind, u32) + 'a;

/// Goes through the import statements: what follows the first word, whether that is `from`, how surely, in which line.
fn each_import(source: &Source, tell: &mut Tell<'_>) {
    let mut blocks: Vec<(usize, ImportKind)> = Vec::new();
    for line in &source.lines {
        while blocks.last().is_some_and(|(indent, _)| line.indent <= *indent) {
            blocks.pop();
        }
        let kind = blocks.iter().map(|(_, kind)| *kind).max().unwrap_or_default();
        match line.first() {
            Some("import") => {
                for part in line.tokens[1..].split(|token| token.is(',')) {
                    tell(part, false, kind, line.number);
                }
            }
            Some("from") if line.tokens.iter().any(|token| token.is_name("import")) => {
                tell(&line.tokens[1..], true, kind, line.number);
            }
            _ => {
                if let Some(opened) = opens(line) {
                    blocks.push((line.indent, opened));
                } else if let Some((head, rest)) = one_line(line) {
                    // `if x: import y`
                    if rest.first().is_some_and(|token| token.is_name("import")) {
                        tell(&rest[1..], false, kind.max(head), line.number);
                    }
                }
            }
        }
    }
}

fn push(found: &mut Vec<(String, ImportKind, u32)>, name: String, kind: ImportKind, line: u32) {
    if !name.is_empty() {
        found.push((name, kind, line));
    }
}

/// What a line that opens a block does to the imports in it.
fn opens(line: &Line) -> Option<ImportKind> {
    if !line.tokens.last().is_some_and(|token| token.is(':')) {
        return None;
    }
    head(line)
}

fn head(line: &Line) -> Option<ImportKind> {
    Some(match line.first()? {
        "def" => ImportKind::Late,
        "async" if line.tokens.get(1).is_some_and(|token| token.is_name("def")) => ImportKind::Late,
        "try" | "except" | "finally" => ImportKind::Soft,
        "if" | "elif" if line.tokens.iter().any(|token| token.is_name("TYPE_CHECKING")) => ImportKind::Typing,
        "if" | "elif" | "else" | "for" | "while" | "match" | "case" | "async" => ImportKind::Conditional,
        "with" if line.tokens.iter().any(|token| token.is_name("suppress")) => ImportKind::Soft,
        "with" | "class" => ImportKind::Hard,
        _ => return None,
    })
}

fn one_line(line: &Line) -> Option<(ImportKind, &[Token])> {
    let head = head(line)?;
    let at = line.tokens.iter().rposition(|token| token.is(':'))?;
    Some((head, &line.tokens[at + 1..]))
}

fn dotted(tokens: &[Token]) -> String {
    let mut name = String::new();
    for token in tokens {
        match token {
            Token::Name(word) if name.is_empty() || name.ends_with('.') => name.push_str(word),
            Token::Mark('.') if !name.is_empty() => name.push('.'),
            _ => break,
        }
    }
    name.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(String, ImportKind, u32)> {
        imports(&crate::python::read(text))
    }

    #[test]
    fn each_way_of_importing_is_told_from_its_twin() {
        use ImportKind::{Conditional, Hard, Late, Soft, Typing};
        let text = "\
import a, b.c as d
from e.f import g
from . import no
from .h import no
try:
    import i
except ImportError:
    import j
class K:
    import l
if TYPE_CHECKING:
    import m
if x:
    import n
    def f():
        import o
def g():
    '''import no'''
    from p import q
with suppress(ImportError):
    import r
if y: import s
x = \"import no\"
import z
";
        let found = kinds(text);
        let of = |name: &str| found.iter().find(|(n, _, _)| n == name).map(|(_, k, l)| (*k, *l));
        assert_eq!(of("a"), Some((Hard, 1)));
        assert_eq!(of("b.c"), Some((Hard, 1)));
        assert_eq!(of("e.f"), Some((Hard, 2)));
        assert_eq!(of("i"), Some((Soft, 6)));
        assert_eq!(of("j"), Some((Soft, 8)));
        assert_eq!(of("l"), Some((Hard, 10)));
        assert_eq!(of("m"), Some((Typing, 12)));
        assert_eq!(of("n"), Some((Conditional, 14)));
        assert_eq!(of("o"), Some((Late, 16)));
        assert_eq!(of("p"), Some((Late, 19)));
        assert_eq!(of("r"), Some((Soft, 21)));
        assert_eq!(of("s"), Some((Conditional, 22)));
        assert_eq!(of("z"), Some((Hard, 24)));
        assert_eq!(found.len(), 13);
    }

    fn module(path: &str, text: &str) -> Module {
        Module {
            path: path.into(),
            name: super::super::dotted(path),
            source: crate::python::read(text),
            aside: false,
        }
    }

    #[test]
    fn what_only_an_optional_module_imports_is_optional() {
        let optional = "from .extra import Thing\n";
        let package = |init: &str| {
            let modules = [
                module("own/__init__.py", init),
                module("own/extra.py", "import stranger\n"),
            ];
            of(&modules, &["own".to_owned()])[0].kind
        };
        assert_eq!(
            package(&format!(
                "try:\n    {optional}except ImportError:\n    Thing = None\n"
            )),
            ImportKind::Soft
        );
        assert_eq!(package(optional), ImportKind::Hard);
        assert_eq!(package("def f():\n    from own import extra\n"), ImportKind::Late);
        assert_eq!(package("from . import extra\n"), ImportKind::Hard);
        assert_eq!(
            package("try:\n    import own.extra\nexcept ImportError:\n    pass\n"),
            ImportKind::Soft
        );
        assert_eq!(package("x = 1\n"), ImportKind::Hard);
    }
}
