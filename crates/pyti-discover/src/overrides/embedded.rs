//! The overrides that come with PyTI: the files of the folder `overrides` of the repository.

use pyti_model::overriding::Override;

use super::{Mistake, read};

/// Name and text of each file.
const FILES: &[(&str, &str)] = &[(
    "overrides/databases.toml",
    include_str!("../../../../overrides/databases.toml"),
)];

/// All of them.
pub fn embedded() -> Result<Vec<Override>, Mistake> {
    let mut all = Vec::new();
    for (name, text) in FILES {
        all.extend(read(name, text)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_and_can_be_used() {
        assert!(!embedded().unwrap().is_empty());
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../overrides");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| format!("overrides/{}", entry.unwrap().file_name().to_string_lossy()))
            .collect();
        there.sort();
        let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(there, names);
    }
}
