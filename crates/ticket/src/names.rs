//! Names: which tensor of a file is what. Resolved here, once; nothing behind it looks at a suffix again.
//!
//! Implements the naming rules of docs/protocol.md, "Carriers and positions": a prefix that all tensors share is
//! removed, `X_mask` and `X_score` are attached to `X`, and `X_orig` with a mask beside it stands under the name `X`.

use std::collections::BTreeMap;

use crate::natural_order;

/// Prefixes that wrappers put before every name, and that say nothing.
const PREFIXES: [&str; 7] = ["module.", "model.", "_orig_mod.", "net.", "network.", "encoder.", "state_dict."];

const MASK: &str = "_mask";
const SCORE: &str = "_score";
const ORIG: &str = "_orig";

/// One tensor under its clean name; the numbers are indices into the names given to [`resolve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) name: String,
    pub(crate) tensor: usize,
    pub(crate) mask: Option<usize>,
    pub(crate) score: Option<usize>,
    /// It was `X_orig`: its values outside the mask are what the tensor would be without pruning.
    pub(crate) is_orig: bool,
}

/// Why names are ambiguous or incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NameError {
    Repeated { name: String, times: usize },
    Orphan { name: String, owner: String },
}

/// Names of the tensors that hold the mask and the scores of `name`.
pub(crate) fn attached_names(name: &str) -> [String; 2] {
    [format!("{name}{MASK}"), format!("{name}{SCORE}")]
}

/// Resolves all names of a file; the result is in natural order.
pub(crate) fn resolve(names: &[&str]) -> Result<Vec<Resolved>, NameError> {
    let cut = shared_prefix(names);
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, name) in names.iter().enumerate() {
        if index.insert(&name[cut..], i).is_some() {
            let times = names.iter().filter(|n| *n == name).count();
            return Err(NameError::Repeated { name: (*name).to_owned(), times });
        }
    }
    let mut resolved: BTreeMap<&str, Resolved> = BTreeMap::new();
    for (&name, &tensor) in index.iter().filter(|(name, _)| !is_attached(name)) {
        let bare = name.strip_suffix(ORIG).filter(|x| !is_attached(x) && index.contains_key(&*format!("{x}{MASK}")));
        let is_orig = bare.is_some();
        let name = bare.unwrap_or(name);
        let entry = Resolved { name: name.to_owned(), tensor, mask: None, score: None, is_orig };
        if resolved.insert(name, entry).is_some() {
            return Err(NameError::Repeated { name: name.to_owned(), times: 2 });
        }
    }
    for (&name, &i) in &index {
        let (owner, is_mask) = match (name.strip_suffix(MASK), name.strip_suffix(SCORE)) {
            (Some(owner), _) => (owner, true),
            (_, Some(owner)) => (owner, false),
            _ => continue,
        };
        let orphan = || NameError::Orphan { name: names[i].to_owned(), owner: owner.to_owned() };
        let entry = resolved.get_mut(owner).ok_or_else(orphan)?;
        *(if is_mask { &mut entry.mask } else { &mut entry.score }) = Some(i);
    }
    let mut resolved: Vec<Resolved> = resolved.into_values().collect();
    resolved.sort_by(|a, b| natural_order(&a.name, &b.name));
    Ok(resolved)
}

fn is_attached(name: &str) -> bool {
    name.ends_with(MASK) || name.ends_with(SCORE)
}

/// Length of what all names start with and that says nothing. No name becomes empty.
fn shared_prefix(names: &[&str]) -> usize {
    let mut cut = 0;
    let Some(first) = names.first() else { return cut };
    while let Some(prefix) = PREFIXES.iter().find(|prefix| first[cut..].starts_with(**prefix)) {
        if !names.iter().all(|n| n[cut..].strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())) {
            break;
        }
        cut += prefix.len();
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(name: &str, tensor: usize, [mask, score]: [Option<usize>; 2], is_orig: bool) -> Resolved {
        Resolved { name: name.to_owned(), tensor, mask, score, is_orig }
    }

    #[test]
    fn shared_prefixes_go_repeatedly_and_only_if_shared() {
        let clean = |names: &[&str]| resolve(names).unwrap().into_iter().map(|r| r.name).collect::<Vec<_>>();
        assert_eq!(clean(&["state_dict.module.a", "state_dict.module.b"]), ["a", "b"]);
        assert_eq!(clean(&["module.model.a", "module.b"]), ["b", "model.a"]);
        assert_eq!(clean(&["model.", "model.b"]), ["model.", "model.b"]);
        assert_eq!(clean(&["layer.a", "layer.b"]), ["layer.a", "layer.b"]);
        assert_eq!(clean(&["_orig_mod.conv.weight_orig", "_orig_mod.conv.weight_mask"]), ["conv.weight"]);
        assert_eq!(clean(&[]), [""; 0]);
    }

    #[test]
    fn masks_and_scores_are_attached_in_natural_order() {
        let names = ["l10.weight", "l9.weight_mask", "l9.weight_score", "l9.weight", "l10.weight_mask"];
        let expected =
            [resolved("l9.weight", 3, [Some(1), Some(2)], false), resolved("l10.weight", 0, [Some(4), None], false)];
        assert_eq!(resolve(&names).unwrap(), expected);
    }

    #[test]
    fn orig_is_the_tensor_only_with_a_mask_beside_it() {
        assert_eq!(resolve(&["w_orig", "w_mask"]).unwrap(), [resolved("w", 0, [Some(1), None], true)]);
        assert_eq!(resolve(&["w_orig"]).unwrap(), [resolved("w_orig", 0, [None, None], false)]);
    }

    #[test]
    fn repeated_names_are_refused() {
        let repeated = |name: &str, times| Err(NameError::Repeated { name: name.to_owned(), times });
        assert_eq!(resolve(&["net.a", "net.b", "net.a", "net.a"]), repeated("net.a", 3));
        assert_eq!(resolve(&["w", "w_orig", "w_mask"]), repeated("w", 2));
    }

    #[test]
    fn masks_and_scores_without_a_tensor_are_refused() {
        for (names, name, owner) in [
            (&["a", "b_mask"][..], "b_mask", "b"),
            (&["a", "a_mask", "a_mask_mask"], "a_mask_mask", "a_mask"),
            (&["module.a", "module.b_score"], "module.b_score", "b"),
            (&["_mask"], "_mask", ""),
        ] {
            let orphan = NameError::Orphan { name: name.to_owned(), owner: owner.to_owned() };
            assert_eq!(resolve(names), Err(orphan));
        }
    }
}
