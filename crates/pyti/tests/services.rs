//! Services beside tests: started on evidence, told with their versions, and missed in words that say how they are had.

mod support;

use pyti_fixtures::Faults;
use pyti_model::raw::{ServiceState, Test};
use serde_json::Value;
use support::{Place, has_services, reasons, served, test_of};

fn states(test: &Test) -> Vec<(&str, ServiceState)> {
    test.services.iter().map(|s| (s.name.as_str(), s.state)).collect()
}

/// What is said beside a reason of this kind.
fn detail(object: &Value, code: &str) -> String {
    let all = object["reasons"].as_array().into_iter().flatten();
    let found = all
        .filter(|reason| reason["code"] == code)
        .map(|r| r["detail"].to_string());
    found.collect::<Vec<_>>().join("; ")
}

#[test]
fn a_refused_connection_starts_redis_and_nothing_of_it_is_a_finding() {
    let name = "a_refused_connection_starts_redis_and_nothing_of_it_is_a_finding";
    let (Some(place), true) = (Place::new(name), has_services(name, &["redis"])) else {
        return;
    };
    let Some(index) = served(name, &["wants-redis"], Faults::none()) else {
        return;
    };
    let ended = place.run(&index, ["--only", "wheel", "wants-redis"]);
    let object = ended.code(0).object();
    assert_eq!(object["verdict"], "clean", "{object:#}");
    let test = test_of(&object);
    assert_eq!(test.counts.passed, 2);
    assert_eq!(test.attempts.len(), 2, "{:#?}", test.attempts);
    assert!(
        test.attempts[1].because.contains("port 6379"),
        "{:?}",
        test.attempts[1].because
    );
    assert_eq!(states(&test), [("redis", ServiceState::Ready)]);
    let redis = &test.services[0];
    assert!(redis.version.lossy().contains("v="), "{redis:?}");
    assert_eq!(redis.port, Some(6379));
}

#[test]
fn a_service_that_is_asked_for_is_there_at_once_and_none_is_none() {
    let name = "a_service_that_is_asked_for_is_there_at_once_and_none_is_none";
    let (Some(place), true) = (Place::new(name), has_services(name, &["redis"])) else {
        return;
    };
    let Some(index) = served(name, &["wants-redis"], Faults::none()) else {
        return;
    };
    let run = |service: &str| {
        let ended = place.run(&index, ["--only", "wheel", "--service", service, "wants-redis"]);
        ended.object()
    };
    let asked = test_of(&run("valkey"));
    assert_eq!((asked.counts.passed, asked.attempts.len()), (2, 0));
    assert_eq!(asked.services[0].because, "it was asked for");
    let none = run("none");
    assert_eq!(none["status"], "fail");
    assert!(test_of(&none).services.is_empty());
}

#[test]
fn what_is_not_there_is_missed_with_the_way_to_get_it() {
    let name = "what_is_not_there_is_missed_with_the_way_to_get_it";
    let Some(mut place) = Place::new(name) else { return };
    if !place.hide(
        name,
        &[
            "/usr/bin/redis-server",
            "/usr/bin/valkey-server",
            "/usr/bin/redis-check-rdb",
        ],
    ) {
        return;
    }
    let Some(index) = served(name, &["wants-redis"], Faults::none()) else {
        return;
    };
    let object = place.run(&index, ["--only", "wheel", "wants-redis"]).object();
    assert_eq!(object["status"], "fail", "{object:#}");
    assert!(
        reasons(&object).iter().any(|code| code == "service_needed"),
        "{object:#}"
    );
    let told = detail(&object, "service_needed");
    assert!(told.contains("apt-get install redis-server"), "{told}");
}

/// Runs the fixture that meets services with these, and gives what it came to.
fn meeting(name: &str, services: &[&str]) -> Option<(Place, Value, Test)> {
    let plain: Vec<&str> = services
        .iter()
        .map(|s| s.split(':').next().unwrap_or(s))
        .collect();
    let (Some(place), true) = (Place::new(name), has_services(name, &plain)) else {
        return None;
    };
    let index = served(name, &["meets-services"], Faults::none())?;
    let mut arguments = vec!["--only", "wheel"];
    for service in services {
        arguments.extend(["--service", service]);
    }
    arguments.push("meets-services");
    let object = place.run(&index, arguments).code(0).object();
    let test = test_of(&object);
    Some((place, object, test))
}

#[test]
fn each_service_answers_in_its_own_protocol_and_is_told_with_its_version() {
    let services = ["redis", "memcached", "postgresql:own", "smtp", "xvfb", "dbus"];
    let name = "each_service_answers_in_its_own_protocol_and_is_told_with_its_version";
    let Some((place, object, test)) = meeting(name, &services) else {
        return;
    };
    assert_eq!(test.counts.passed, 6, "{test:#?}");
    assert!(
        test.services
            .iter()
            .all(|s| s.state == ServiceState::Ready && !s.version.is_empty()),
        "{test:#?}"
    );
    assert_eq!(object["verdict"], "clean", "{object:#}");
    assert!(
        !reasons(&object).iter().any(|code| code == "survivors"),
        "{object:#}"
    );
    // told in JSON, on the terminal and on the page
    let postgresql = test.services.iter().find(|s| s.name == "postgresql").unwrap();
    let number = postgresql.number().unwrap();
    let told = object["services"].as_array().unwrap();
    assert!(
        told.iter()
            .any(|s| s["name"] == "postgresql" && s["state"] == "ready"),
        "{object:#}"
    );
    let run = object["run"].as_str().unwrap();
    let terminal = place.ends(["report", run]).code(0).stdout;
    let words = terminal.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("postgresql {number}")), "{terminal}");
    let page = place.ends(["report", run, "--html"]).code(0).stdout;
    assert!(
        page.contains("Services beside the tests") && page.contains(&number),
        "{} bytes",
        page.len()
    );
}

#[test]
fn larger_services_answer_too() {
    let name = "larger_services_answer_too";
    if std::env::var_os("PYTI_TEST_ALL").is_none() {
        support::skipped(name, "it takes long: cargo xtask test --all");
        return;
    }
    for service in ["mariadb", "rabbitmq", "s3"] {
        let Some((_, object, test)) = meeting(name, &[service]) else {
            continue;
        };
        assert_eq!(test.counts.passed, 1, "{service}: {:#?}", test.services);
        assert_eq!(object["verdict"], "clean", "{service}: {object:#}");
    }
}

#[test]
fn an_override_of_the_user_decides_and_a_mistake_in_it_is_told_with_its_line() {
    let name = "an_override_of_the_user_decides_and_a_mistake_in_it_is_told_with_its_line";
    let Some(place) = Place::new(name) else { return };
    let Some(index) = served(name, &["wants-redis"], Faults::none()) else {
        return;
    };
    place.configure("jobs = 1\n");
    let folder = place.path().join("overrides");
    std::fs::create_dir(&folder).unwrap();
    let write = |text: &str| std::fs::write(folder.join("own.toml"), text).unwrap();
    let run = || place.run(&index, ["--only", "wheel", "wants-redis"]);
    write("[[override]]\nproject = \"wants-redis\"\nwhy = \"x\"\nservices = [\"reddis\"]\n");
    let wrong = run().code(2);
    assert!(
        wrong.stderr.contains("own.toml, line 4") && wrong.stderr.contains("reddis"),
        "{}",
        wrong.stderr
    );
    write(
        "[[override]]\nproject = \"wants-redis\"\nversions = \">=1\"\nwhy = \"x\"\nskip = \"needs a printer\"\n",
    );
    let skipped = run().code(0).object();
    assert_eq!(skipped["status"], "load");
    assert!(
        detail(&skipped, "policy").contains("needs a printer"),
        "{skipped:#}"
    );
    // of another version, it says nothing
    write(
        "[[override]]\nproject = \"wants-redis\"\nversions = \">=2\"\nwhy = \"x\"\nskip = \"needs a printer\"\n",
    );
    let listed = place.ends(["override", "list"]).code(0).stdout;
    assert!(
        listed.contains("wants-redis") && listed.contains("psycopg2"),
        "{listed}"
    );
    if !has_services(name, &["redis"]) {
        return;
    }
    let found = run().code(0).object();
    assert_eq!(test_of(&found).attempts.len(), 2, "{found:#}");
    // what was tried is written down, and is then the first attempt
    std::fs::remove_file(folder.join("own.toml")).unwrap();
    let path = place.ends(["override", "init", "wants-redis"]).code(0).stdout;
    let text = std::fs::read_to_string(path.trim()).unwrap();
    assert!(text.contains("services = [\"redis\"]"), "{text}");
    place.ends(["override", "check", path.trim()]).code(0);
    let test = test_of(&run().code(0).object());
    assert_eq!((test.counts.passed, test.attempts.len()), (2, 0), "{test:#?}");
    assert!(
        test.services[0].because.contains("wants-redis.toml"),
        "{:?}",
        test.services
    );
    place.ends(["override", "init", "wants-redis"]).code(5);
}
