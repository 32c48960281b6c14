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
