//! Data that tasks exchange: typed keys, and the store behind them.

use std::any::{Any, TypeId, type_name};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::name::{KeyName, TaskName};

/// The name of a piece of data together with its type.
///
/// Two keys of the same name are the same key; a graph refuses the same name
/// with two types, so a value always has the type its reader expects.
///
/// ```
/// use pyti_graph::Key;
///
/// const WHEEL: Key<Vec<u8>> = Key::new("wheel");
/// let dependency: Key<Vec<u8>> = Key::named(format!("wheel of {}", "six"));
/// assert_eq!(WHEEL.name().as_str(), "wheel");
/// # let _ = dependency;
/// ```
pub struct Key<T> {
    name: Cow<'static, str>,
    // A key neither owns nor borrows a T, so it is Send and Sync whatever T is.
    of: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key whose name is known when the program is written.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            of: PhantomData,
        }
    }

    /// A key whose name is made at run time.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Cow::Owned(name.into()),
            of: PhantomData,
        }
    }

    /// The name without the type.
    pub fn name(&self) -> KeyName {
        KeyName::from(self.name.as_ref())
    }
}

impl<T: 'static> Key<T> {
    pub(crate) fn erased(&self) -> AnyKey {
        AnyKey {
            name: self.name(),
            type_id: TypeId::of::<T>(),
            type_name: type_name::<T>(),
        }
    }
}

// Derived, these would ask the same of T, which a key does not need.
impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            of: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key<{}>({:?})", type_name::<T>(), self.name)
    }
}

/// A key whose type is known only as an identity, to compare with others.
#[derive(Clone, Debug)]
pub(crate) struct AnyKey {
    pub(crate) name: KeyName,
    pub(crate) type_id: TypeId,
    pub(crate) type_name: &'static str,
}

/// A value of any type that can be shared between tasks.
type Value = Arc<dyn Any + Send + Sync>;

/// Values by key: what was given to a graph, and what its tasks published.
///
/// ```
/// use pyti_graph::{Key, Store};
///
/// let answer = Key::<u32>::new("answer");
/// let mut store = Store::default();
/// store.insert(&answer, 42);
/// assert_eq!(store.get(&answer).as_deref(), Some(&42));
/// ```
#[derive(Clone, Default)]
pub struct Store {
    values: BTreeMap<KeyName, Value>,
}

impl Store {
    /// Puts a value in, over one that is there.
    pub fn insert<T: Send + Sync + 'static>(&mut self, key: &Key<T>, value: T) {
        self.values.insert(key.name(), Arc::new(value));
    }

    /// The value, if there is one of this name and type.
    pub fn get<T: Send + Sync + 'static>(&self, key: &Key<T>) -> Option<Arc<T>> {
        Arc::clone(self.values.get(&key.name())?).downcast().ok()
    }

    /// Whether there is a value of this name, whatever its type.
    pub fn contains(&self, key: &KeyName) -> bool {
        self.values.contains_key(key)
    }

    /// The names of all values, sorted.
    pub fn names(&self) -> impl Iterator<Item = &KeyName> {
        self.values.keys()
    }

    /// The values of these names, shared with this store.
    pub(crate) fn select<'a>(&self, names: impl IntoIterator<Item = &'a KeyName>) -> Self {
        let pairs = names
            .into_iter()
            .filter_map(|name| Some((name.clone(), Arc::clone(self.values.get(name)?))));
        Self {
            values: pairs.collect(),
        }
    }

    /// Takes over the values of the other store that this task may publish.
    pub(crate) fn adopt(&mut self, mut other: Self, may: impl Fn(&KeyName) -> bool) {
        other.values.retain(|name, _| may(name));
        self.values.append(&mut other.values);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// A task read or published data in a way it did not declare.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// It reads what it does not wait for.
    #[error("`{task}` reads `{key}` without waiting for it; declare it with `needs` or `wants`")]
    NotDeclared {
        /// The reader.
        task: TaskName,
        /// What it reads.
        key: KeyName,
    },
    /// Nobody published what it reads.
    #[error("`{task}` reads `{key}`, which nobody published; use `try_get` where that may happen")]
    Absent {
        /// The reader.
        task: TaskName,
        /// What it reads.
        key: KeyName,
    },
    /// It reads or publishes with another type than the graph declared.
    #[error(
        "`{task}` uses `{key}` as {used}, which is not the type the graph declared; use one key for both"
    )]
    WrongType {
        /// The user.
        task: TaskName,
        /// What it uses.
        key: KeyName,
        /// As which type.
        used: &'static str,
    },
    /// It publishes what it does not produce.
    #[error("`{task}` publishes `{key}` without producing it; declare it with `produces`")]
    NotProduced {
        /// The publisher.
        task: TaskName,
        /// What it publishes.
        key: KeyName,
    },
    /// It publishes the same data a second time.
    #[error("`{task}` publishes `{key}` twice; what others read must not change")]
    PublishedTwice {
        /// The publisher.
        task: TaskName,
        /// What it publishes.
        key: KeyName,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_name_and_type_only() {
        let mut store = Store::default();
        store.insert(&Key::<u32>::new("n"), 1);
        assert_eq!(store.get(&Key::<u64>::new("n")), None);
        assert_eq!(store.get(&Key::<u32>::new("m")), None);
        assert_eq!(store.get(&Key::<u32>::named("n")).as_deref(), Some(&1));
    }

    #[test]
    fn keys_do_not_ask_anything_of_their_type() {
        fn is_shared<T: Send + Sync + Clone>(_: &T) {}
        is_shared(&Key::<std::rc::Rc<u8>>::new("n"));
    }

    #[test]
    fn select_and_adopt_keep_what_was_asked_for() {
        let (a, b) = (Key::<u8>::new("a"), Key::<u8>::new("b"));
        let mut all = Store::default();
        all.insert(&a, 1);
        all.insert(&b, 2);
        let some = all.select([&a.name(), &KeyName::from("c")]);
        assert_eq!(format!("{some:?}"), r#"{"a"}"#);
        let mut taken = Store::default();
        taken.adopt(all, |name| *name == "b");
        assert_eq!(format!("{taken:?}"), r#"{"b"}"#);
    }
}
