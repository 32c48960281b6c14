//! Hints from continuous integration: commands, what it installs, services that it starts. Read line by line: all that is
//! wanted stands on lines of its own in YAML.

use super::Workflow;
use crate::tree::Tree;

/// Files that are looked at.
const FILES: usize = 20;

/// One for each file that runs tests.
pub(super) fn jobs(tree: &dyn Tree) -> Vec<Workflow> {
    let wanted = |path: &&String| {
        let yaml = path.ends_with(".yml") || path.ends_with(".yaml");
        yaml && (path.starts_with(".github/workflows/")
            || matches!(
                path.as_str(),
                ".gitlab-ci.yml"
                    | ".travis.yml"
                    | "azure-pipelines.yml"
                    | ".circleci/config.yml"
                    | "appveyor.yml"
            ))
    };
    tree.files()
        .iter()
        .filter(wanted)
        .take(FILES)
        .filter_map(|file| of(file, &tree.text(file)?))
        .collect()
}

fn of(file: &str, text: &str) -> Option<Workflow> {
    let mut flow = Workflow {
        rung: "continuous integration".to_owned(),
        file: file.to_owned(),
        ..Workflow::default()
    };
    for line in text.lines().take(5000) {
        let mut line = line.trim().trim_start_matches("- ").trim();
        for key in ["run:", "script:", "bash:", "command:"] {
            line = line.strip_prefix(key).map_or(line, str::trim);
        }
        let line = line.trim_matches(['"', '\'', '|', '>']).trim();
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if let Some(image) = line.strip_prefix("image:") {
            if let Some(service) = service(image.trim().trim_matches(['"', '\''])) {
                add(&mut flow.services, service);
            }
            continue;
        }
        if let Some(words) = super::installs(line) {
            flow.install(&words);
        } else if crate::commandline::read(line).is_some() && flow.commands.len() < 20 {
            if flow.needle.is_empty() {
                line.clone_into(&mut flow.needle);
            }
            flow.commands.push(line.to_owned());
        }
    }
    flow.command()?;
    Some(flow)
}

fn add(list: &mut Vec<String>, word: &str) {
    if !list.iter().any(|known| known == word) {
        list.push(word.to_owned());
    }
}

/// The service that an image offers.
fn service(image: &str) -> Option<&'static str> {
    let name = image.rsplit('/').next()?.split([':', '@']).next()?;
    Some(match name {
        "postgres" | "postgresql" | "postgis" | "timescaledb" | "pgvector" => "postgresql",
        "mysql" | "mariadb" | "percona" | "mysql-server" => "mariadb",
        "redis" | "valkey" | "redis-stack" | "keydb" => "redis",
        "memcached" => "memcached",
        "rabbitmq" => "rabbitmq",
        "mongo" | "mongodb" => "mongodb",
        "minio" | "localstack" => "s3",
        "mailhog" | "mailpit" => "smtp",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    #[test]
    fn commands_installs_and_services_are_hints() {
        let text = "jobs:\n  test:\n    services:\n      db:\n        image: postgres:16\n    steps:\n      - run: |\n          pip install -r req.txt\n          pytest -q\n      - run: ruff check\n";
        let found = jobs(&MemoryTree::new([
            (".github/workflows/a.yml", text),
            ("other.yml", text),
        ]));
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].lines.clone(), found[0].services.clone()),
            (vec!["-rreq.txt".to_owned()], vec!["postgresql".to_owned()])
        );
        assert_eq!(
            (found[0].needle.as_str(), found[0].is_default),
            ("pytest -q", false)
        );
        assert!(
            jobs(&MemoryTree::new([(
                ".github/workflows/a.yml",
                "- run: ruff check\n"
            )]))
            .is_empty()
        );
    }
}
