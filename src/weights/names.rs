//! The names of tensors.

use crate::error::{Error, Result, shortened};
use std::collections::BTreeMap;

/// Every residual network has this tensor. What stands before its name stands before those of the whole
/// network.
const ANCHOR: &str = "layer1.0.conv1.weight";
/// MoCo keeps a slowly moving copy of its encoder beside it, which is not the one to use.
const COPY: &str = "encoder_k.";

/// The `tensors` of the file `source` by their names, those of a residual network under torchvision's and
/// timm's: without the `module.` of parallel training, the `backbone.` of a larger model, or whatever stands
/// before them.
///
/// # Errors
/// The file has two networks, and does not say which is the one to use, or one name twice.
pub(super) fn plain_names<T>(source: &str, tensors: Vec<(&str, T)>) -> Result<BTreeMap<String, T>> {
    let prefix = network_prefix(source, tensors.iter().map(|&(name, _)| name))?.to_owned();
    let mut named = BTreeMap::new();
    for (name, tensor) in tensors {
        let plain = name.strip_prefix(&prefix).unwrap_or(name);
        if named.insert(plain.to_owned(), tensor).is_some() {
            let found = match prefix.is_empty() {
                true => "it twice".into(),
                false => format!("it with and without \"{}\"", shortened(&prefix)),
            };
            return Err(Error::format(tensor_of(source, plain), found, "each name once"));
        }
    }
    Ok(named)
}

/// How errors name the tensor `name` of the file `source`.
pub(super) fn tensor_of(source: &str, name: &str) -> String {
    format!("{source}: tensor {}", shortened(name))
}

/// What stands before the names of the network's tensors; nothing where there is no network.
fn network_prefix<'a>(source: &str, names: impl Iterator<Item = &'a str>) -> Result<&'a str> {
    let is_prefix = |prefix: &&str| prefix.is_empty() || prefix.ends_with('.') && !prefix.ends_with(COPY);
    let mut prefixes = names.filter_map(|name| name.strip_suffix(ANCHOR)).filter(is_prefix);
    let first = prefixes.next().unwrap_or_default();
    match prefixes.find(|&other| other != first) {
        None => Ok(first),
        Some(other) => {
            let [first, other] = [first, other].map(|prefix| shortened(format_args!("{prefix}{ANCHOR}")));
            let found = format!("two networks, with {first} and with {other}");
            Err(Error::format(source, found, "one").hint("save the one to use alone"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(names: &[&str]) -> Result<Vec<String>> {
        plain_names("w.pth", names.iter().map(|&name| (name, ())).collect())
            .map(|named| named.into_keys().collect())
    }

    #[test]
    fn what_stands_before_the_networks_names_is_removed() {
        for before in
            ["", "module.", "model.", "backbone.", "encoder.", "module._orig_mod.", "module.encoder_q."]
        {
            let names = ["bn1.bias", ANCHOR].map(|name| format!("{before}{name}"));
            let found = plain(&["queue", &names[0], &names[1]]).unwrap();
            assert_eq!(found, ["bn1.bias", ANCHOR, "queue"]);
        }
        assert_eq!(plain(&["module.fc.bias", "xlayer1.0.conv1.weight"]).unwrap()[0], "module.fc.bias");
    }

    #[test]
    fn of_mocos_two_encoders_the_one_to_use_is_taken() {
        let names = ["encoder_k", "encoder_q"].map(|encoder| format!("module.{encoder}.{ANCHOR}"));
        assert_eq!(plain(&[&names[0], &names[1]]).unwrap(), [ANCHOR, &names[0]]);
    }

    #[test]
    fn two_networks_are_refused_by_name() {
        let error = plain(&["layer1.0.conv1.weight", "module.layer1.0.conv1.weight"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "w.pth: found two networks, with layer1.0.conv1.weight and with module.layer1.0.conv1.weight, \
             expected one (save the one to use alone)"
        );
    }

    #[test]
    fn a_name_that_occurs_twice_is_refused() {
        let error = plain(&["bn1.bias", "module.bn1.bias", "module.layer1.0.conv1.weight"]).unwrap_err();
        let expected =
            "w.pth: tensor bn1.bias: found it with and without \"module.\", expected each name once";
        assert_eq!(error.to_string(), expected);
        let error = plain(&["a", "a"]).unwrap_err().to_string();
        assert_eq!(error, "w.pth: tensor a: found it twice, expected each name once");
    }
}
