//! Annotations, and whether checkers are told of them.

use pyti_model::quality::{Quality, Remark};

use super::remark;

/// From how many functions on, and from which share of them, annotations are meant to be seen.
const ENOUGH: u64 = 5;

pub(super) fn remarks(quality: &Quality, found: &mut Vec<Remark>) {
    let types = &quality.types;
    if types.functions < ENOUGH {
        return;
    }
    let mostly = types.annotated * 10 >= types.functions * 8;
    let thin = types.annotated * 2 < types.functions;
    if types.marked.is_empty() && mostly && !types.unmarked.is_empty() {
        let sentence = format!(
            "{} of {} public functions are annotated, and no py.typed says so",
            types.annotated, types.functions
        );
        found.push(remark("typing-unmarked", None, sentence));
    }
    if !types.marked.is_empty() && thin {
        let sentence = format!(
            "py.typed is there, and {} of {} public functions are annotated",
            types.annotated, types.functions
        );
        found.push(remark("typing-marked-thin", None, sentence));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{broken, good};

    #[test]
    fn annotations_and_their_marker_belong_together() {
        let mut quality = good();
        (quality.types.functions, quality.types.annotated) = (10, 9);
        assert_eq!(broken(&quality), Vec::<String>::new());
        quality.types.marked.clear();
        quality.types.unmarked = vec!["good".into()];
        assert_eq!(broken(&quality), ["typing-unmarked"]);
        quality.types.annotated = 5;
        assert_eq!(broken(&quality), Vec::<String>::new());
        quality.types.annotated = 4;
        quality.types.marked = vec!["good".into()];
        assert_eq!(broken(&quality), ["typing-marked-thin"]);
    }
}
