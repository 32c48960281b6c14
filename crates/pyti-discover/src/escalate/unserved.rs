//! Services that a failed attempt missed, by its words: refused connections, sockets and displays that are not there,
//! databases that nobody made.

use pyti_services::{catalogue, request};

/// Services that are listed.
const MOST: usize = 8;
/// Longest line that is looked at.
const LONGEST: usize = 4000;

/// Words of errors, and the service that they miss.
const WORDS: &[(&str, &str)] = &[
    ("s.PGSQL.5432\" failed: No such file", "postgresql"),
    ("s.PGSQL.5432\"? ", "postgresql"),
    ("Can't connect to local MySQL server through socket", "mariadb"),
    ("Can't connect to local server through socket", "mariadb"),
    ("no display name and no $DISPLAY", "xvfb"),
    ("couldn't connect to display", "xvfb"),
    ("could not connect to display", "xvfb"),
    ("Can't connect to display", "xvfb"),
    ("cannot open display", "xvfb"),
    ("Cannot open display", "xvfb"),
    ("Unable to open display", "xvfb"),
    ("Unable to access the X Display", "xvfb"),
    ("Bad display name", "xvfb"),
    ("Unable to autolaunch a dbus-daemon", "dbus"),
    ("DBUS_SESSION_BUS_ADDRESS", "dbus"),
    ("/var/run/dbus/", "dbus"),
];
/// Words before the name of a database that is not there, the word after it, and the service.
const DATABASES: &[(&str, &str, &str)] = &[
    ("database \"", "\" does not exist", "postgresql"),
    ("Unknown database '", "'", "mariadb"),
];

/// What was missed: the words that show it, and the service as a recipe names it (`postgresql:NAME` with a database).
///
/// `ports` are those of the loopback that the attempt connected to: an error of a socket often does not name its port.
pub(super) fn services(texts: &[String], ports: &[u16]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add = |word: String, service: String| {
        if found.len() < MOST && !found.iter().any(|(_, known)| *known == service) {
            found.push((word, service));
        }
    };
    for text in texts {
        for (word, service) in WORDS.iter().filter(|(word, _)| text.contains(word)) {
            add((*word).to_owned(), (*service).to_owned());
        }
        for (before, after, service) in DATABASES {
            for rest in text.split(before).skip(1).take(20) {
                if let Some((name, _)) = rest.split_once(after)
                    && request::is_database(name)
                {
                    add(
                        format!("there is no database {name}"),
                        format!("{service}:{name}"),
                    );
                }
            }
        }
        let mut refused = refused(text);
        // sources that a traceback shows are full of numbers that are nobody's port
        refused.retain(|port| catalogue::at_port(*port).is_some());
        if refused.is_empty() && is_refusal(text) {
            refused.extend(ports);
        }
        for port in refused {
            if let Some(service) = catalogue::at_port(port) {
                add(
                    format!("port {port} refused a connection"),
                    service.name.to_owned(),
                );
            }
        }
    }
    found
}

fn is_refusal(text: &str) -> bool {
    text.contains("onnection refused") || text.contains("ConnectionRefusedError")
}

/// Ports that a text says refused a connection.
fn refused(text: &str) -> Vec<u16> {
    let bare = text.contains("ConnectionRefusedError");
    let says = |line: &str| {
        let line = line.to_ascii_lowercase();
        line.contains("refused")
            || ["can't connect", "cannot connect", "could not connect", "failed to connect"]
                .iter()
                .any(|word| line.contains(word))
            // the error of a bare socket does not name the port; the line of the traceback that connects does
            || bare && line.contains("connect")
    };
    text.lines()
        .filter(|line| line.len() < LONGEST && says(line))
        .flat_map(ports)
        .collect()
}

/// Numbers that stand where a port stands: `host:5432`, `port 5432`, `port=5432`, `('host', 5432)`.
fn ports(line: &str) -> Vec<u16> {
    let mut found = Vec::new();
    for (at, _) in line
        .match_indices(|c: char| c.is_ascii_digit())
        .filter(|(at, _)| !line[..*at].ends_with(|c: char| c.is_ascii_digit()))
    {
        let before = &line[..at];
        let digits = line[at..].bytes().take_while(u8::is_ascii_digit).count();
        let after = line[at + digits..].chars().next();
        let stands = [":", "port ", "port=", "port: ", "', ", "\", "]
            .iter()
            .any(|lead| before.ends_with(lead));
        if stands
            && after.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            && let Ok(port) = line[at..at + digits].parse()
        {
            found.push(port);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missed(text: &str) -> Vec<String> {
        services(&[text.to_owned()], &[])
            .into_iter()
            .map(|(_, s)| s)
            .collect()
    }

    #[test]
    fn refusals_name_services_by_their_ports() {
        assert_eq!(
            missed("connection to server at \"127.0.0.1\", port 5432 failed: Connection refused"),
            ["postgresql"]
        );
        assert_eq!(
            missed("Error 111 connecting to localhost:6379. Connection refused."),
            ["redis"]
        );
        assert_eq!(
            missed("Can't connect to MySQL server on 'localhost:3306' (111)"),
            ["mariadb"]
        );
        assert_eq!(
            missed(
                "    s.connect(('127.0.0.1', 11211))\nConnectionRefusedError: [Errno 111] Connection refused"
            ),
            ["memcached"]
        );
        assert!(missed("listening on localhost:6379").is_empty());
        assert!(missed("refused 5432 times, at :54321 and :6379a").is_empty());
    }

    #[test]
    fn a_refusal_without_a_port_is_that_of_a_port_that_was_tried() {
        let refused = [
            "if port 0 is wanted to connect\nConnectionRefusedError: [Errno 111] Connection refused"
                .to_owned(),
        ];
        let names = |texts: &[String], ports: &[u16]| -> Vec<String> {
            services(texts, ports).into_iter().map(|(_, s)| s).collect()
        };
        assert_eq!(names(&refused, &[43_211, 6379]), ["redis"]);
        assert!(names(&refused, &[43_211]).is_empty());
        assert!(names(&["assert 1 == 2".to_owned()], &[6379]).is_empty());
        // who says the port knows better
        assert_eq!(
            names(&["localhost:5432: Connection refused".to_owned()], &[6379]),
            ["postgresql"]
        );
    }

    #[test]
    fn displays_sockets_and_databases_are_missed_too() {
        assert_eq!(
            missed("_tkinter.TclError: no display name and no $DISPLAY environment variable"),
            ["xvfb"]
        );
        assert_eq!(
            missed(
                "connection to server on socket \"/var/run/postgresql/.s.PGSQL.5432\" failed: No such file or directory"
            ),
            ["postgresql"]
        );
        assert_eq!(
            missed("FATAL:  database \"own_test\" does not exist"),
            ["postgresql:own_test"]
        );
        assert_eq!(missed("(1049, \"Unknown database 'own'\")"), ["mariadb:own"]);
        assert!(missed("database \"a b; DROP\" does not exist").is_empty());
        assert!(missed("the display was opened").is_empty());
    }
}
