//! tox's substitutions: `{toxinidir}`, `{[section]key}`, `{env:NAME:default}`, `{posargs:default}`.

use crate::ini::Ini;

/// How deep references may go.
const DEPTH: usize = 12;
/// Substitutions of one environment that are made: a few short lines can stand for more than anybody can count.
const STEPS: usize = 5000;
/// Most bytes of a value: references can grow beyond all bounds.
const MOST: usize = 64 << 10;
/// What stands for the environment's site-packages until it is known.
pub(super) const SITE: &str = "{site}";

/// Replaces them. The names of loops that were met go into `loops`.
pub(super) struct Substitution<'a> {
    pub(super) ini: &'a Ini,
    /// Sections are called `prefix` and their name: `tox:` in setup.cfg.
    pub(super) prefix: &'a str,
    /// The section whose own keys `{key}` refers to.
    pub(super) section: &'a str,
    pub(super) loops: Vec<String>,
    /// Substitutions that were made.
    pub(super) steps: usize,
}

impl Substitution<'_> {
    pub(super) fn of(&mut self, text: &str) -> String {
        let mut open = Vec::new();
        self.within(text, &mut open)
    }

    fn within(&mut self, text: &str, open: &mut Vec<String>) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let before = &rest[..at];
            if let Some(before) = before.strip_suffix('\\') {
                out.push_str(before);
                out.push('{');
                rest = &rest[at + 1..];
                continue;
            }
            out.push_str(before);
            let Some(end) = closing(&rest[at..]) else {
                out.push_str(&rest[at..]);
                return out;
            };
            let inside = &rest[at + 1..at + end];
            let value = self.value(inside, open);
            out.push_str(&value);
            rest = &rest[at + end + 1..];
            if out.len() > MOST {
                return out;
            }
        }
        out.push_str(rest);
        out
    }

    fn value(&mut self, inside: &str, open: &mut Vec<String>) -> String {
        if let Some(reference) = inside.strip_prefix('[') {
            let Some((section, key)) = reference.split_once(']') else {
                return String::new();
            };
            let name = format!("{}{section}", self.prefix);
            let found = self
                .ini
                .get(&name)
                .or_else(|| self.ini.get(section))
                .and_then(|keys| keys.get(&key.to_ascii_lowercase()))
                .cloned();
            return self.refer(inside, found, open);
        }
        let (word, default) = match inside.split_once(':') {
            Some((word, default)) => (word, Some(default)),
            None => (inside, None),
        };
        match word {
            "toxinidir" | "tox_root" | "changedir" | "homedir" => String::new(),
            "/" => "/".to_owned(),
            // a separator of paths
            "" if inside == ":" => ":".to_owned(),
            "envsitepackagesdir" | "env_site_packages_dir" => SITE.to_owned(),
            "envpython" | "basepython" | "env_python" => "python".to_owned(),
            "envtmpdir" | "env_tmp_dir" | "toxworkdir" | "tox_work_dir" | "temp_dir" | "envdir"
            | "env_dir" | "work_dir" | "envlogdir" | "env_log_dir" | "distdir" | "package_root" => {
                "/tmp".to_owned()
            }
            "envbindir" | "env_bin_dir" => "/home/dev/venv/bin".to_owned(),
            "envname" | "env_name" => "py".to_owned(),
            "posargs" => default.map(|text| self.within(text, open)).unwrap_or_default(),
            "env" => {
                let default = default
                    .and_then(|rest| rest.split_once(':'))
                    .map(|(_, default)| default);
                default.map(|text| self.within(text, open)).unwrap_or_default()
            }
            "tty" => default
                .and_then(|rest| rest.split_once(':'))
                .map(|(_, without)| without.to_owned())
                .unwrap_or_default(),
            _ if word.chars().all(|c| c.is_alphanumeric() || c == '_') && default.is_none() => {
                let found = [self.section, &format!("{}testenv", self.prefix)]
                    .iter()
                    .find_map(|section| self.ini.get(*section)?.get(&word.to_ascii_lowercase()))
                    .cloned();
                match found {
                    Some(found) => self.refer(word, Some(found), open),
                    // braces of a shell or of a format stay
                    None => format!("{{{inside}}}"),
                }
            }
            _ => format!("{{{inside}}}"),
        }
    }

    /// The value of another key, unless that leads back to where we are.
    fn refer(&mut self, name: &str, found: Option<String>, open: &mut Vec<String>) -> String {
        let Some(found) = found else {
            return String::new();
        };
        self.steps += 1;
        if open.iter().any(|known| known == name) || open.len() >= DEPTH || self.steps > STEPS {
            if self.loops.len() < 10 && !self.loops.iter().any(|known| known == name) {
                self.loops.push(name.to_owned());
            }
            return String::new();
        }
        open.push(name.to_owned());
        let value = self.within(&found, open);
        open.pop();
        value
    }
}

/// Where the brace that opens a text closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            '\n' if depth > 40 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ini;

    fn of(file: &str, text: &str) -> (String, Vec<String>) {
        let ini = ini::read(file);
        let mut substitution = Substitution {
            ini: &ini,
            prefix: "",
            section: "testenv:py",
            loops: Vec::new(),
            steps: 0,
        };
        let value = substitution.of(text);
        (value, substitution.loops)
    }

    #[test]
    fn references_are_followed_and_defaults_taken() {
        let file = "[base]\ndeps = mock\n  {[more]deps}\n[more]\ndeps = six\n[testenv:py]\nplace = tests\n";
        assert_eq!(of(file, "{[base]deps}").0, "mock\nsix");
        assert_eq!(of(file, "pytest {posargs:{place} -q}").0, "pytest tests -q");
        assert_eq!(of(file, "{env:X:a}{env:Y}{[gone]x}").0, "a");
        assert_eq!(of(file, "-r{toxinidir}/req.txt").0, "-r/req.txt");
        assert_eq!(of(file, "find {} \\{a} {x:y}").0, "find {} {a} {x:y}");
    }

    #[test]
    fn loops_end_and_are_told() {
        let file = "[a]\nx = 1 {[b]x}\n[b]\nx = 2 {[a]x}\n[testenv:py]\nself = {self}{self}\n";
        assert_eq!(of(file, "{[a]x}"), ("1 2 ".to_owned(), vec!["[a]x".to_owned()]));
        assert_eq!(of(file, "{self}"), (String::new(), vec!["self".to_owned()]));
        // no loop, and still without bounds
        let mut grows = String::from("[g]\nk0 = xxxxxxxxxx\n");
        for n in 1..40 {
            grows.push_str(&format!("k{n} = {{[g]k{0}}}{{[g]k{0}}}\n", n - 1));
        }
        assert!(of(&grows, "{[g]k39}").0.len() < 4 * MOST);
        // wide, deep and empty
        let mut wide = String::from("[g]\nk0 =\n");
        for n in 1..11 {
            wide.push_str(&format!("k{n} = {}\n", format!("{{[g]k{}}}", n - 1).repeat(100)));
        }
        assert_eq!(of(&wide, "{[g]k10}").0, "");
    }
}
