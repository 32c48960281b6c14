//! Writes small SQLite databases, by the published file format: tables of any number of rows, indexes of one page.

/// Bytes of a page.
const PAGE: usize = 4096;
/// Bytes of the file's own head, on the first page.
const HEAD: usize = 100;
/// Kinds of pages.
const TABLE_INTERIOR: u8 = 5;
const INDEX_LEAF: u8 = 10;
const TABLE_LEAF: u8 = 13;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    /// Nothing; also what stands for the row's own number in a column that is `INTEGER PRIMARY KEY`.
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}

/// A table.
pub(crate) struct Table<'a> {
    pub(crate) name: &'a str,
    /// The statement that makes it.
    pub(crate) sql: &'a str,
    /// Its rows, numbered from 1. Each must fit on a page.
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) indexes: Vec<Index<'a>>,
}

/// An index of a table.
pub(crate) struct Index<'a> {
    /// Its name; those of constraints are called `sqlite_autoindex_TABLE_1`.
    pub(crate) name: String,
    /// The statement that makes it; none for those of constraints.
    pub(crate) sql: Option<&'a str>,
    /// Places of its columns in the table.
    pub(crate) columns: &'a [usize],
}

impl<'a> Index<'a> {
    /// The index of a table's only constraint.
    pub(crate) fn of_constraint(table: &str, columns: &'a [usize]) -> Self {
        Self {
            name: format!("sqlite_autoindex_{table}_1"),
            sql: None,
            columns,
        }
    }
}

/// Numbers in the head of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marks {
    /// `PRAGMA user_version`.
    pub(crate) user_version: u32,
    /// `PRAGMA application_id`.
    pub(crate) application: u32,
}

/// A variable-length integer: seven bits a byte, the highest first. Ours fit into eight bytes.
fn varint(number: u64, out: &mut Vec<u8>) {
    let mut digits = vec![(number & 0x7f) as u8];
    let mut rest = number >> 7;
    while rest > 0 {
        digits.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.extend(digits.iter().rev());
}

fn record(values: &[Value]) -> Vec<u8> {
    let (mut kinds, mut body) = (Vec::new(), Vec::new());
    for value in values {
        match value {
            Value::Null => varint(0, &mut kinds),
            Value::Integer(number) => {
                if let Ok(small) = i8::try_from(*number) {
                    varint(1, &mut kinds);
                    body.extend_from_slice(&small.to_be_bytes());
                } else if let Ok(middle) = i32::try_from(*number) {
                    varint(4, &mut kinds);
                    body.extend_from_slice(&middle.to_be_bytes());
                } else {
                    varint(6, &mut kinds);
                    body.extend_from_slice(&number.to_be_bytes());
                }
            }
            Value::Text(text) => {
                varint(13 + 2 * text.len() as u64, &mut kinds);
                body.extend_from_slice(text.as_bytes());
            }
            Value::Blob(bytes) => {
                varint(12 + 2 * bytes.len() as u64, &mut kinds);
                body.extend_from_slice(bytes);
            }
        }
    }
    let mut out = Vec::new();
    // the length of the head counts itself
    let own = if kinds.len() < 127 { 1 } else { 2 };
    varint((kinds.len() + own) as u64, &mut out);
    out.extend(kinds);
    out.extend(body);
    out
}

/// Puts cells on a page from its end, and where they are after its head.
fn page(kind: u8, cells: &[Vec<u8>], right: Option<u32>, reserved: usize) -> Vec<u8> {
    let mut out = vec![0; PAGE];
    let mut end = PAGE;
    let head = if right.is_some() { 12 } else { 8 };
    for (number, cell) in cells.iter().enumerate() {
        end -= cell.len();
        out[end..end + cell.len()].copy_from_slice(cell);
        put(&mut out, reserved + head + 2 * number, end);
    }
    out[reserved] = kind;
    put(&mut out, reserved + 3, cells.len());
    put(&mut out, reserved + 5, end);
    if let Some(right) = right {
        out[reserved + 8..reserved + 12].copy_from_slice(&right.to_be_bytes());
    }
    out
}

fn put(page: &mut [u8], at: usize, number: usize) {
    let number = u16::try_from(number).unwrap_or(0);
    page[at..at + 2].copy_from_slice(&number.to_be_bytes());
}

/// The pages of a file, but the first.
struct Pages(Vec<Vec<u8>>);

impl Pages {
    /// Adds a page, and tells its number.
    fn add(&mut self, page: Vec<u8>) -> u32 {
        self.0.push(page);
        u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX)
    }

    /// Adds the tree of a table, and tells its root.
    fn table(&mut self, rows: &[Vec<Value>]) -> u32 {
        let mut leaves: Vec<(u64, Vec<Vec<u8>>)> = vec![(0, Vec::new())];
        let mut used = 0;
        for (number, row) in (1..).zip(rows) {
            let record = record(row);
            let mut cell = Vec::new();
            varint(record.len() as u64, &mut cell);
            varint(number, &mut cell);
            cell.extend(record);
            used += cell.len() + 2;
            if used > PAGE - 8 {
                leaves.push((number, Vec::new()));
                used = cell.len() + 2;
            }
            if let Some((last, cells)) = leaves.last_mut() {
                *last = number;
                cells.push(cell);
            }
        }
        let mut roots: Vec<(u64, u32)> = leaves
            .iter()
            .map(|(last, cells)| (*last, self.add(page(TABLE_LEAF, cells, None, 0))))
            .collect();
        match roots.pop() {
            Some((_, only)) if roots.is_empty() => only,
            Some((_, right)) => {
                let cells: Vec<Vec<u8>> = roots
                    .iter()
                    .map(|(last, leaf)| {
                        let mut cell = leaf.to_be_bytes().to_vec();
                        varint(*last, &mut cell);
                        cell
                    })
                    .collect();
                self.add(page(TABLE_INTERIOR, &cells, Some(right), 0))
            }
            None => 0,
        }
    }

    /// Adds an index, and tells its page.
    fn index(&mut self, rows: &[Vec<Value>], columns: &[usize]) -> u32 {
        let mut keys: Vec<Vec<Value>> = (1..)
            .zip(rows)
            .map(|(number, row)| {
                let mut key: Vec<Value> = columns.iter().map(|column| row[*column].clone()).collect();
                key.push(Value::Integer(number));
                key
            })
            .collect();
        keys.sort();
        let cells: Vec<Vec<u8>> = keys
            .iter()
            .map(|key| {
                let record = record(key);
                let mut cell = Vec::new();
                varint(record.len() as u64, &mut cell);
                cell.extend(record);
                cell
            })
            .collect();
        self.add(page(INDEX_LEAF, &cells, None, 0))
    }
}

/// The bytes of a database of these tables.
pub(crate) fn database(tables: &[Table<'_>], marks: Marks) -> Vec<u8> {
    let mut pages = Pages(Vec::new());
    let mut schema = Vec::new();
    for table in tables {
        let root = pages.table(&table.rows);
        let mut entry = |kind: &str, name: &str, root: u32, sql: Option<&str>| {
            let values = [
                kind.into(),
                name.into(),
                table.name.into(),
                i64::from(root).into(),
                sql.map_or(Value::Null, Value::from),
            ];
            let record = record(&values);
            let mut cell = Vec::new();
            varint(record.len() as u64, &mut cell);
            varint(schema.len() as u64 + 1, &mut cell);
            cell.extend(record);
            schema.push(cell);
        };
        entry("table", table.name, root, Some(table.sql));
        for index in &table.indexes {
            let root = pages.index(&table.rows, index.columns);
            entry("index", &index.name, root, index.sql);
        }
    }
    let mut first = page(TABLE_LEAF, &schema, None, HEAD);
    first[..16].copy_from_slice(b"SQLite format 3\0");
    put(&mut first, 16, PAGE);
    first[18..24].copy_from_slice(&[1, 1, 0, 64, 32, 32]);
    let mut number = |at: usize, value: u32| first[at..at + 4].copy_from_slice(&value.to_be_bytes());
    let changes = 7 + u32::try_from(schema.len()).unwrap_or(0);
    number(24, changes);
    number(28, u32::try_from(pages.0.len() + 1).unwrap_or(0));
    number(40, u32::try_from(schema.len()).unwrap_or(0));
    number(44, 4);
    number(56, 1);
    number(60, marks.user_version);
    number(68, marks.application);
    number(92, changes);
    number(96, 3_045_001);
    [vec![first], pages.0].concat().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length() {
        for (number, bytes) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0x81, 0]),
            (20_000, &[0x81, 0x9c, 0x20]),
        ] {
            let mut out = Vec::new();
            varint(number, &mut out);
            assert_eq!(out, bytes);
        }
    }
}
