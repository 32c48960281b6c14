//! The journal of a local index: what happened to its projects, told as a changelog (XML-RPC) and as RSS.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::faults::Fault;

/// The serial of the first event.
const FIRST: u64 = 10_000;
/// What a set-back feed forgets of its serials.
const SET_BACK: u64 = 9_000;
/// Entries of the list of newest releases.
const NEWEST: usize = 40;

#[derive(Debug, Clone)]
struct Entry {
    project: String,
    version: Option<String>,
    action: String,
    at: u64,
    serial: u64,
}

/// Everything that happened, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal {
    entries: Vec<Entry>,
    /// Last serial of each project.
    last: BTreeMap<String, u64>,
}

impl Journal {
    /// Writes an event down and gives its serial.
    pub(crate) fn note(&mut self, project: &str, version: Option<&str>, action: String) -> u64 {
        let serial = self.last_serial() + 1;
        self.entries.push(Entry {
            project: project.to_owned(),
            version: version.map(str::to_owned),
            action,
            at: now(),
            serial,
        });
        self.last.insert(project.to_owned(), serial);
        serial
    }

    pub(crate) fn last_serial(&self) -> u64 {
        self.entries.last().map_or(FIRST, |entry| entry.serial)
    }

    /// The last serial of a project; the beginning for one to which nothing happened.
    pub(crate) fn of(&self, project: &str) -> u64 {
        self.last.get(project).copied().unwrap_or(FIRST)
    }

    /// Answers a call of XML-RPC, as far as the faults let it.
    pub(crate) fn answer(&self, call: &str, faults: &[Fault]) -> String {
        let backwards = if faults.contains(&Fault::Backwards) {
            SET_BACK
        } else {
            0
        };
        let value = if call.contains("<methodName>changelog_last_serial<") {
            format!("<value><int>{}</int></value>", self.last_serial() - backwards)
        } else if call.contains("<methodName>changelog_since_serial<") {
            let since = number(call).unwrap_or(0);
            let mut events = String::new();
            for entry in self.entries.iter().filter(|entry| entry.serial > since) {
                if faults.contains(&Fault::Forgetful) && entry.serial % 3 == 0 {
                    continue;
                }
                let version = entry.version.as_ref().map_or_else(
                    || "<nil/>".to_owned(),
                    |version| format!("<string>{}</string>", escaped(version)),
                );
                let _ = write!(
                    events,
                    "<value><array><data><value><string>{}</string></value><value>{version}</value><value><int>{}</int></value>\
                     <value><string>{}</string></value><value><int>{}</int></value></data></array></value>",
                    escaped(&entry.project),
                    entry.at,
                    escaped(&entry.action),
                    entry.serial - backwards,
                );
            }
            format!("<value><array><data>{events}</data></array></value>")
        } else {
            return "<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name><value><int>-32601</int></value>\
                    </member><member><name>faultString</name><value><string>no such method</string></value></member></struct></value></fault></methodResponse>"
                .to_owned();
        };
        format!(
            "<?xml version='1.0'?>\n<methodResponse><params><param>{value}</param></params></methodResponse>"
        )
    }

    /// The newest releases, newest first.
    pub(crate) fn rss(&self) -> String {
        let mut items = String::new();
        let releases = self
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.action == "new release");
        for entry in releases.take(NEWEST) {
            let version = entry.version.as_deref().unwrap_or_default();
            let _ = write!(
                items,
                "<item><title>{} {}</title></item>",
                escaped(&entry.project),
                escaped(version)
            );
        }
        format!(
            "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>updates</title><link>http://index.example/</link>\
             <description>newest releases</description>{items}</channel></rss>"
        )
    }
}

/// The number that a call gives: `<value><i4>17</i4></value>`.
fn number(call: &str) -> Option<u64> {
    let value = call.split("<value>").nth(1)?;
    value.split('>').nth(1)?.split('<').next()?.trim().parse().ok()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
