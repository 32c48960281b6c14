//! How far the public functions of a wheel are annotated. Counted by ourselves: a type checker would have to be
//! installed with everything that is imported, and gives another number with every release.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::quality::Typing;

use super::{Module, placed};
use crate::python::{Line, Source, Token, argument_end, closing};
use crate::tree::{Tree, is_python};

/// Modules that are listed.
const LISTED: usize = 20;

/// Counts the functions of all modules; a stub stands for its module.
pub(super) fn of(modules: &[Module], tree: &dyn Tree) -> Typing {
    let mut typing = Typing::default();
    let (mut packages, mut marked) = (BTreeSet::new(), BTreeSet::new());
    for path in tree.files() {
        let path = placed(path);
        let Some((top, below)) = path.split_once('/') else {
            continue;
        };
        if top.ends_with(".dist-info") || top.ends_with(".data") {
            continue;
        }
        if below == "py.typed" || below.ends_with("/py.typed") || top.ends_with("-stubs") {
            marked.insert(top.to_owned());
        }
        if (is_python(below) || below.ends_with(".pyi")) && !super::is_aside(path) {
            packages.insert(top.to_owned());
        }
    }
    typing.unmarked = packages.difference(&marked).take(LISTED).cloned().collect();
    typing.marked = marked.into_iter().take(LISTED).collect();
    let stubs: BTreeSet<&str> = modules
        .iter()
        .filter(|module| module.path.ends_with(".pyi"))
        .map(|module| module.name.as_str())
        .collect();
    typing.stubs = u32::try_from(stubs.len()).unwrap_or(u32::MAX);
    let mut by_module: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for module in modules {
        let replaced = is_python(&module.path) && stubs.contains(module.name.as_str());
        if module.aside || replaced {
            continue;
        }
        for function in functions(&module.source) {
            typing.functions += 1;
            typing.annotated += u64::from(function == Annotated::Wholly);
            typing.bare += u64::from(function == Annotated::NotAtAll);
            let count = by_module.entry(&module.name).or_default();
            count.0 += 1;
            count.1 += u64::from(function == Annotated::Wholly);
        }
    }
    let mut least: Vec<_> = by_module
        .into_iter()
        .filter(|(_, (all, annotated))| annotated < all)
        .map(|(name, (all, annotated))| (name.to_owned(), all, annotated))
        .collect();
    least.sort_by_key(|(_, all, annotated)| std::cmp::Reverse(all - annotated));
    least.truncate(LISTED);
    typing.least = least;
    typing
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Annotated {
    Wholly,
    Partly,
    NotAtAll,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Class { public: bool },
    Function,
}

/// Public functions and methods: no name on the way to them begins with an underscore, but for `__init__`.
fn functions(source: &Source) -> Vec<Annotated> {
    let mut blocks: Vec<(usize, Block)> = Vec::new();
    let mut found = Vec::new();
    for line in &source.lines {
        while blocks.last().is_some_and(|(indent, _)| line.indent <= *indent) {
            blocks.pop();
        }
        let start = usize::from(line.first() == Some("async"));
        let (Some(word), Some(name)) = (
            line.tokens.get(start).and_then(Token::name),
            line.tokens.get(start + 1).and_then(Token::name),
        ) else {
            continue;
        };
        match word {
            "class" => blocks.push((
                line.indent,
                Block::Class {
                    public: !name.starts_with('_'),
                },
            )),
            "def" => {
                let public = (!name.starts_with('_') || name == "__init__")
                    && blocks
                        .iter()
                        .all(|(_, block)| *block == Block::Class { public: true });
                if public {
                    let method = !blocks.is_empty();
                    found.extend(annotated(line, start + 2, method, name == "__init__"));
                }
                blocks.push((line.indent, Block::Function));
            }
            _ => {}
        }
    }
    found
}

fn annotated(line: &Line, after_name: usize, method: bool, is_init: bool) -> Option<Annotated> {
    let mut at = after_name;
    // PEP 695: `def f[T](x: T)`
    if line.tokens.get(at)?.is('[') {
        at += closing(&line.tokens[at..])? + 1;
    }
    if !line.tokens.get(at)?.is('(') {
        return None;
    }
    let end = at + closing(&line.tokens[at..])?;
    let result = line.tokens.get(end + 1).is_some_and(|token| token.is('-'));
    let (mut all, mut with) = (0, 0);
    let mut rest = &line.tokens[at + 1..end];
    let mut first = true;
    while !rest.is_empty() {
        let length = argument_end(rest);
        let part = &rest[..length];
        let name = part.iter().find(|token| !token.is('*')).and_then(Token::name);
        if let Some(name) = name {
            let own = method && first && matches!(name, "self" | "cls" | "mcs" | "mcls" | "metacls" | "_cls");
            if !own {
                all += 1;
                let place = part.iter().position(|token| token.is_name(name)).unwrap_or(0);
                with += usize::from(part.get(place + 1).is_some_and(|token| token.is(':')));
            }
            first = false;
        }
        rest = rest.get(length + 1..).unwrap_or_default();
    }
    let whole = with == all && (result || is_init);
    Some(if whole {
        Annotated::Wholly
    } else if with == 0 && !result {
        Annotated::NotAtAll
    } else {
        Annotated::Partly
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Annotated> {
        functions(&crate::python::read(text))
    }

    #[test]
    fn annotations_are_counted_as_written() {
        use Annotated::{NotAtAll, Partly, Wholly};
        assert_eq!(
            of("def f(a: int, *b: str, c: dict[str, int] = {}, **d: X) -> None: ...\n"),
            [Wholly]
        );
        assert_eq!(of("def f(a, b: int) -> None: ...\n"), [Partly]);
        assert_eq!(of("def f(a: int): ...\n"), [Partly]);
        assert_eq!(of("def f(a): ...\n"), [NotAtAll]);
        assert_eq!(of("def f(): ...\n"), [NotAtAll]);
        assert_eq!(of("def f(*, a: int, b: int) -> int: ...\n"), [Wholly]);
        assert_eq!(of("def f(a: int, /, b: int) -> int: ...\n"), [Wholly]);
        assert_eq!(of("def f[T: int](a: T) -> T: ...\n"), [Wholly]);
        assert_eq!(
            of("async def f(\n    a: int,\n    b=(1, 2),\n) -> int: ...\n"),
            [Partly]
        );
        assert_eq!(of("def f(a=lambda x: x) -> int: ...\n"), [Partly]);
    }

    #[test]
    fn only_what_is_public_counts() {
        use Annotated::{NotAtAll, Wholly};
        let text = "\
class A:
    def __init__(self, a: int): ...
    def m(self) -> int:
        def inner(x): ...
    def _no(self): ...
    def __eq__(self, other): ...
    class B:
        @staticmethod
        def s(x): ...
class _P:
    def no(self): ...
def _q(x): ...
if x:
    def r(): ...
";
        assert_eq!(of(text), [Wholly, Wholly, NotAtAll, NotAtAll]);
    }
}
