//! Entry points that point to nothing.

use pyti_model::quality::{Quality, Remark};

use super::remark;

pub(super) fn remarks(quality: &Quality, found: &mut Vec<Remark>) {
    let wheel = &quality.wheel;
    for point in &wheel.entry_points {
        let target = point.target.lossy();
        let object = target.split('[').next().unwrap_or_default().trim();
        let module = object.split(':').next().unwrap_or_default().trim();
        let top = module.split('.').next().unwrap_or_default();
        // another distribution's module may well be there
        if !wheel.top_level.iter().any(|own| own == top) {
            continue;
        }
        let is_main = module.ends_with("__main__");
        let missing = !wheel.modules.iter().any(|known| known == module) && !is_main;
        let sentence = if missing {
            format!(
                "{} of {} points to the module {module}, which is not there",
                point.name.visible(),
                point.group.visible()
            )
        } else if point.defined == Some(false) {
            format!(
                "{} of {} points to {object}, which that module does not define",
                point.name.visible(),
                point.group.visible()
            )
        } else {
            continue;
        };
        found.push(remark(
            "entry-point-dangling",
            None,
            pyti_model::Foreign::from(sentence).visible(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use pyti_model::quality::EntryPoint;

    use super::super::tests::{broken, good};

    fn of(target: &str, defined: Option<bool>) -> usize {
        let mut quality = good();
        quality.wheel.entry_points = vec![EntryPoint {
            group: "console_scripts".into(),
            name: "good".into(),
            target: target.into(),
            defined,
        }];
        broken(&quality).len()
    }

    #[test]
    fn entry_points_must_point_to_something() {
        assert_eq!(of("good:main", Some(true)), 0);
        assert_eq!(of("good:main", None), 0);
        assert_eq!(of("good:main", Some(false)), 1);
        assert_eq!(of("good.cli:main", None), 1);
        assert_eq!(of("good.__main__:main [extra]", None), 0);
        assert_eq!(of("stranger.cli:main", None), 0);
    }
}
