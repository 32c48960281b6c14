//! What leads where on a page.

use std::collections::HashSet;

use super::parts::FilePart;
use crate::seen::Seen;
use crate::sentences::shown_str;

impl FilePart {
    /// Whether some place of changed files is worth seeing at once.
    pub(crate) fn has_open_place(&self) -> bool {
        self.changes
            .iter()
            .any(|change| change.places.iter().any(|place| place.open))
    }

    /// Anchors of processes, of what they did, and of what they said.
    pub(crate) fn anchors(&self) -> impl Iterator<Item = &str> {
        let processes = self.commands.iter().flat_map(|command| &command.processes);
        let lines = processes.clone().flat_map(|process| {
            process
                .groups
                .iter()
                .flat_map(|group| &group.lines)
                .filter_map(|line| line.anchor.as_deref())
        });
        let changes = self
            .changes
            .iter()
            .flat_map(|change| &change.places)
            .flat_map(|place| &place.paths)
            .filter_map(|line| line.anchor.as_deref());
        let talks = self
            .network
            .talks
            .iter()
            .filter_map(|talk| talk.evidence.as_deref());
        processes
            .map(|process| process.anchor.as_str())
            .chain(lines)
            .chain(self.commands.iter().map(|command| command.anchor.as_str()))
            .chain(talks)
            .chain(changes)
    }

    /// Links to conversations that the page has no room for.
    pub(super) fn keep_links_that_lead_somewhere(&mut self) {
        let talks: HashSet<&str> = self
            .network
            .talks
            .iter()
            .map(|talk| talk.anchor.as_str())
            .collect();
        let lines = self
            .commands
            .iter_mut()
            .flat_map(|command| &mut command.processes)
            .flat_map(|process| &mut process.groups)
            .flat_map(|group| &mut group.lines);
        for line in lines {
            line.href = line.href.take().filter(|href| talks.contains(href.as_str()));
        }
    }

    /// Contacts of tasks whose traces tell the same with more.
    pub(super) fn forget_what_the_traces_tell(&mut self, seen: &Seen<'_>) {
        if self.network.is_empty() {
            return;
        }
        let traced: HashSet<String> = seen.traces.iter().map(|traced| shown_str(traced.task)).collect();
        self.contacts.retain(|contact| !traced.contains(&contact.task));
    }
}
