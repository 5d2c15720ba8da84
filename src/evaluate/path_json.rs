//! Paths in JSON, which is UTF-8 where paths need not be.

use serde_json::Value;
use std::path::Path;

/// Puts `path` into the object `json` as the field `name`, with replacements for bytes that are not UTF-8. If
/// there are such, the field `NAME_percent_encoded` holds the bytes of the path.
pub fn insert_path(json: &mut Value, name: &str, path: &Path) {
    json[name] = path.to_string_lossy().into();
    if path.to_str().is_none() {
        json[format!("{name}_percent_encoded")] = percent_encode(path.as_os_str().as_encoded_bytes()).into();
    }
}

/// As RFC 3986 writes paths: letters, digits and `-._~/` stand for themselves.
fn percent_encode(bytes: &[u8]) -> String {
    let encode = |&byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_is_text_where_it_can_be() {
        let mut json = json!({"score": 1});
        insert_path(&mut json, "path", Path::new("a/\u{e9} 0.png"));
        assert_eq!(json, json!({"score": 1, "path": "a/\u{e9} 0.png"}));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_bytes_of_a_path_survive() {
        use std::os::unix::ffi::OsStrExt;
        let mut json = json!({});
        insert_path(&mut json, "path", Path::new(std::ffi::OsStr::from_bytes(b"/st\xf6rung 100%/\n.png")));
        let expected = json!({
            "path": "/st\u{fffd}rung 100%/\n.png",
            "path_percent_encoded": "/st%F6rung%20100%25/%0A.png",
        });
        assert_eq!(json, expected);
    }
}
