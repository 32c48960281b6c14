//! The stable ABI: which symbols an extension module of the limited API may want.

use pyti_model::quality::{Grade, LimitedApi, Place, Quality, Remark, Side};

/// Symbol and the minor version of Python 3 that added it.
const TABLE: &str = include_str!("../data/limited-api.txt");

/// The minor version that added a symbol to the stable ABI.
pub(crate) fn added(symbol: &str) -> Option<u32> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == symbol)
        .and_then(|(_, minor)| minor.parse().ok())
}

/// What extension modules want beyond what their tag promises.
pub(crate) fn remarks(quality: &Quality, remarks: &mut Vec<Remark>) {
    let promised = promised(quality);
    for file in &quality.limited {
        one(file, promised, remarks);
    }
}

/// The lowest minor version that a tag `cp38-abi3-…` promises.
fn promised(quality: &Quality) -> Option<u32> {
    let tags = quality.wheel.tags.iter().filter_map(|tag| tag.as_str());
    tags.filter(|tag| tag.contains("-abi3"))
        .filter_map(|tag| tag.strip_prefix("cp3")?.split('-').next()?.parse().ok())
        .min()
}

fn one(file: &LimitedApi, promised: Option<u32>, remarks: &mut Vec<Remark>) {
    let place = Some(Place {
        path: file.file.clone(),
        ..Place::default()
    });
    let (mut outside, mut newer) = (Vec::new(), Vec::new());
    for symbol in &file.symbols {
        match added(symbol) {
            None => outside.push(symbol.as_str()),
            Some(minor) if promised.is_some_and(|promised| minor > promised) => {
                newer.push(format!("{symbol} (3.{minor})"));
            }
            Some(_) => {}
        }
    }
    if !outside.is_empty() {
        remarks.push(Remark {
            rule: "abi3-symbol-outside".into(),
            grade: Grade::Error,
            side: Side::Packaging,
            place: place.clone(),
            sentence: format!(
                "it calls itself abi3 and wants {}, which no stable ABI has",
                some(&outside)
            ),
            advice: "build it with Py_LIMITED_API, or give the wheel a tag for one interpreter".into(),
            more: 0,
        });
    }
    if let (Some(promised), false) = (promised, newer.is_empty()) {
        let newer: Vec<&str> = newer.iter().map(String::as_str).collect();
        remarks.push(Remark {
            rule: "abi3-symbol-too-new".into(),
            grade: Grade::Error,
            side: Side::Packaging,
            place,
            sentence: format!(
                "its tag promises Python 3.{promised} and it wants {}",
                some(&newer)
            ),
            advice: "raise the tag, or set Py_LIMITED_API to the version that the tag names".into(),
            more: 0,
        });
    }
}

/// The first few of a list.
fn some(list: &[&str]) -> String {
    match list {
        [a, b, c, rest @ ..] if rest.len() > 1 => format!("{a}, {b}, {c} and {} more", rest.len()),
        all => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tag: &str, symbols: &[&str]) -> Vec<String> {
        let mut quality = Quality::default();
        quality.wheel.tags = vec![tag.into()];
        quality.limited = vec![LimitedApi {
            file: "a.abi3.so".into(),
            symbols: symbols.iter().map(ToString::to_string).collect(),
            unread: None,
        }];
        let mut remarks = Vec::new();
        super::remarks(&quality, &mut remarks);
        remarks.into_iter().map(|remark| remark.rule).collect()
    }

    #[test]
    fn the_table_is_that_of_cpython() {
        assert_eq!(added("PyType_FromSpec"), Some(2));
        assert_eq!(added("PyType_GetName"), Some(11));
        assert_eq!(added("PyUnicode_AsUTF8AndSize"), Some(10));
        assert_eq!(added("_PyUnicode_AsString"), None);
    }

    #[test]
    fn symbols_are_compared_with_what_the_tag_promises() {
        let tag = "cp38-abi3-manylinux_2_17_x86_64";
        assert_eq!(of(tag, &["PyType_FromSpec"]), Vec::<String>::new());
        assert_eq!(of(tag, &["PyType_GetName"]), ["abi3-symbol-too-new"]);
        assert_eq!(
            of("cp311-abi3-linux_x86_64", &["PyType_GetName"]),
            Vec::<String>::new()
        );
        assert_eq!(of(tag, &["_PyUnicode_AsString"]), ["abi3-symbol-outside"]);
    }
}
