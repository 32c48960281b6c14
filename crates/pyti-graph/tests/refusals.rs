//! What is refused before anything runs, with a message that names the way,
//! and for each its harmless twin.

use pyti_graph::{GraphBuilder, GraphError, Key, Runner, TaskResult};

const SOURCE: Key<String> = Key::new("source");
const WHEEL: Key<String> = Key::new("wheel");

type Builder = GraphBuilder<(), bool>;

fn refused(describe: impl FnOnce(&mut Builder)) -> GraphError {
    let mut b = Builder::new();
    describe(&mut b);
    b.build_for(&true).map(|graph| format!("{graph:?}")).unwrap_err()
}

fn accepted(describe: impl FnOnce(&mut Builder)) -> TaskResult {
    let mut b = Builder::new();
    describe(&mut b);
    let graph = b.build_for(&true).unwrap();
    Runner::new().run(&graph, &(), |_| ()).report.result
}

/// A task that keeps its promise.
fn builds(b: &mut Builder, name: &str, key: &Key<String>) {
    let key_again = key.clone();
    b.task(name).produces(key).run(move |cx| {
        cx.put(&key_again, String::new())?;
        Ok(TaskResult::Success.into())
    });
}

#[test]
fn two_tasks_of_one_name() {
    let error = refused(|b| {
        b.task("build");
        b.task("build");
    });
    assert_eq!(error, GraphError::DuplicateTask { task: "build".into() });
    assert_eq!(error.to_string(), "there are two tasks named `build`; rename one");
    let two = accepted(|b| {
        b.task("build");
        b.task("Build");
    });
    assert_eq!(two, TaskResult::Success);
}

#[test]
fn a_task_that_is_not_there() {
    let error = refused(|b| {
        b.task("test").needs_task("instal");
    });
    assert_eq!(
        error.to_string(),
        "there is no task `instal` (test needs instal); add it or drop the dependency"
    );
    let error = refused(|b| {
        b.task("tidy").after("tets");
    });
    assert!(error.to_string().contains("(tidy comes after tets)"), "{error}");
    let there = accepted(|b| {
        b.task("test").needs_task("install");
        b.task("install").after("fetch");
        b.task("fetch");
    });
    assert_eq!(there, TaskResult::Success);
}

#[test]
fn a_circle_of_all_kinds_of_waiting() {
    let error = refused(|b| {
        b.task("before the circle").needs_task("build");
        builds(b, "build", &WHEEL);
        b.task("install").needs(&WHEEL);
        b.task("test").needs_task("install");
        b.task("unpack").after("test");
        b.task("configure").needs_task("unpack").produces(&SOURCE);
        b.task("compile").needs(&SOURCE).needs_task("compile again");
        b.task("compile again").needs_task("compile");
    });
    assert_eq!(
        error.to_string(),
        "tasks wait for each other: compile needs compile again, compile again needs compile; \
         drop one of these dependencies"
    );
    let error = refused(|b| {
        b.task("build").produces(&WHEEL).after("test");
        b.task("install").needs(&WHEEL);
        b.task("test").needs_task("install");
        b.task("outside").needs_task("test");
    });
    let GraphError::Cycle { path } = &error else {
        panic!("{error}")
    };
    assert_eq!(path.steps.len(), 3);
    for step in [
        "build comes after test",
        "install reads `wheel` from build",
        "test needs install",
    ] {
        assert!(path.to_string().contains(step), "{step} in {path}");
    }
    let open = accepted(|b| {
        builds(b, "build", &WHEEL);
        b.task("install").needs(&WHEEL);
        b.task("test").needs_task("install").after("build");
    });
    assert_eq!(open, TaskResult::Success);
}

#[test]
fn a_task_that_waits_for_itself() {
    let error = refused(|b| {
        b.task("build").needs_task("build");
    });
    assert!(error.to_string().contains("build needs build"), "{error}");
    let error = refused(|b| {
        b.task("build").wants(&WHEEL).produces(&WHEEL);
    });
    assert!(
        error.to_string().contains("build reads `wheel` from build"),
        "{error}"
    );
}

#[test]
fn data_that_nobody_makes() {
    let error = refused(|b| {
        b.task("report").needs_task("test");
        b.task("test").needs_task("install");
        b.task("install").needs(&WHEEL);
    });
    assert_eq!(
        error.to_string(),
        "nobody produces `wheel` (report needs test, test needs install, install reads `wheel`); \
         add a producer, give the data, or read it with `wants`"
    );
    let wanted = accepted(|b| {
        b.task("install").wants(&WHEEL);
    });
    let given = accepted(|b| {
        b.give(&WHEEL, "six".to_owned());
        b.task("install").needs(&WHEEL);
    });
    let made = accepted(|b| {
        b.task("install").needs(&WHEEL);
        builds(b, "build", &WHEEL);
    });
    assert_eq!([wanted, given, made], [TaskResult::Success; 3]);
}

#[test]
fn data_that_is_only_made_elsewhere() {
    let error = refused(|b| {
        b.task("build on the moon").applies(|here| !here).produces(&WHEEL);
        b.task("install").needs(&WHEEL);
    });
    assert!(
        error
            .to_string()
            .contains("; not for this platform: `build on the moon`"),
        "{error}"
    );
    let nobody_reads = accepted(|b| {
        b.task("build on the moon").applies(|here| !here).produces(&WHEEL);
        b.task("install on the moon").applies(|here| !here).needs(&WHEEL);
    });
    assert_eq!(nobody_reads, TaskResult::Success);
}

#[test]
fn a_missing_producer_in_a_circle_is_told_without_going_round_forever() {
    let error = refused(|b| {
        b.task("a").needs_task("b").needs(&WHEEL);
        b.task("b").needs_task("a");
    });
    assert!(matches!(error, GraphError::MissingProducer { .. }), "{error}");
}

#[test]
fn two_makers_of_one_thing() {
    let error = refused(|b| {
        builds(b, "build", &WHEEL);
        builds(b, "download", &WHEEL);
        b.task("install").needs(&WHEEL);
    });
    assert_eq!(
        error.to_string(),
        "both `build` and `download` produce `wheel` (install reads `wheel`); \
         give them different ranks or narrow one with `applies`"
    );
    let error = refused(|b| {
        b.task("build").produces_ranked(&WHEEL, 1);
        b.task("download").produces_ranked(&WHEEL, 1);
    });
    assert!(!error.to_string().contains('('), "nobody reads it: {error}");
    let error = refused(|b| {
        b.task("build").produces_ranked(&WHEEL, 1);
        b.task("download").produces(&WHEEL);
    });
    assert!(matches!(error, GraphError::DoubleProducer { .. }), "{error}");

    let one_applies = accepted(|b| {
        builds(b, "build", &WHEEL);
        b.task("build on the moon").applies(|here| !here).produces(&WHEEL);
        b.task("install").needs(&WHEEL);
    });
    assert_eq!(one_applies, TaskResult::Success);
}

#[test]
fn one_name_for_two_types() {
    let number: Key<u32> = Key::new("wheel");
    let error = refused(|b| {
        builds(b, "build", &WHEEL);
        b.task("install").needs(&number);
    });
    assert_eq!(
        error.to_string(),
        "`wheel` is alloc::string::String for one task and u32 for `install`; use one key for both, or two names"
    );
    let given = refused(|b| {
        b.give(&number, 1);
        b.task("install").wants(&WHEEL);
    });
    assert!(matches!(given, GraphError::TypeClash { .. }), "{given}");
    let same = accepted(|b| {
        builds(b, "build", &WHEEL);
        b.task("install").needs(&Key::<String>::named("wheel"));
    });
    assert_eq!(same, TaskResult::Success);
}

#[test]
fn a_graph_of_nothing_is_a_success() {
    assert_eq!(accepted(|_| ()), TaskResult::Success);
}
