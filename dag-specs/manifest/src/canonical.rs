//! Canonical JSON and SHA-256 digests of it.
//!
//! Canonical JSON here is that of RFC 8785 (JCS) with one narrowing: a value has exactly one form,
//! so that equal values have equal bytes and equal digests.
//!
//! - Members of objects are sorted by the UTF-16 code units of their names; no white space.
//! - Strings are escaped as in RFC 8785, section 3.2.2.2: `\b \t \n \f \r \" \\`, other control
//!   characters below U+0020 as `\u00xx` in lower case, everything else as itself.
//! - A number that the source wrote as an integer between −2⁶³ and 2⁶⁴−1 is written in decimal
//!   digits, exactly. RFC 8785 would round integers beyond ±2⁵³ to a double; we do not, because two
//!   different values would then share a digest.
//! - Any other number is a finite IEEE 754 double. Where its value is an integer below 2⁵³ in
//!   magnitude it is written as that integer (`1.0` → `1`, `-0.0` → `0`); otherwise in the shortest
//!   decimal form that reads back as the same double, as ECMAScript's `Number::toString` does.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

/// A SHA-256 (FIPS 180-4), written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Digest([u8; 32]);

/// A text that is not a [`Sha256Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a digest: write `sha256:` and 64 digits of 0-9 and a-f", .0.escape_debug())]
pub struct InvalidDigest(String);

impl Sha256Digest {
    /// The digest with these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let wrong = || InvalidDigest(text.chars().take(80).collect());
        let hex = text.strip_prefix("sha256:").ok_or_else(wrong)?;
        let is_hex = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != 64 || !is_hex {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

crate::text_serde!(Sha256Digest, "^sha256:[0-9a-f]{64}$");

/// `value` in canonical form, as the module describes it.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            write_list(out, ['[', ']'], items.iter(), |out, item| {
                write_value(out, item)
            });
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            write_list(out, ['{', '}'], sorted.into_iter(), |out, (key, value)| {
                write_string(out, key);
                out.push(':');
                write_value(out, value);
            });
        }
    }
}

fn write_list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut String, T),
) {
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(close);
}

fn write_number(out: &mut String, number: &serde_json::Number) {
    let integral = |double: f64| double.fract() == 0.0 && double.abs() < 9_007_199_254_740_992.0;
    // Writing to a String cannot fail.
    let _ = match number.as_f64() {
        _ if number.is_i64() || number.is_u64() => write!(out, "{number}"),
        #[expect(clippy::cast_possible_truncation, reason = "integral and below 2^53")]
        Some(double) if integral(double) => write!(out, "{}", double as i64),
        Some(double) => write_double(out, double),
        None => write!(out, "{number}"),
    };
}

/// Writes a finite double as ECMAScript does (ECMA-262, Number::toString): plain digits for
/// exponents from −7 to 20, otherwise `d.ddde±x`. The digits are Rust's shortest round-trip ones.
fn write_double(out: &mut String, double: f64) -> fmt::Result {
    let magnitude = double.abs();
    if (1e-6..1e21).contains(&magnitude) {
        return write!(out, "{double}");
    }
    let text = format!("{double:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            write!(out, "{digits}e+{exponent}")
        }
        _ => out.write_str(&text),
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn canonical_json_follows_rfc_8785() {
        // Sections 3.2.2 and 3.2.3 of the RFC; the first number differs in being finite exactly.
        let text = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            canonical_json(&value),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        // U+10000 sorts before U+FB33 by UTF-16 code units and after it by code points.
        assert_eq!(
            canonical_json(&json!({"\u{fb33}": 1, "\u{10000}": 2})),
            "{\"\u{10000}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn numbers_have_one_form() {
        for (text, canonical) in [
            ("1.0", "1"),
            ("-0.0", "0"),
            ("1e2", "100"),
            ("9223372036854775807", "9223372036854775807"),
            ("9007199254740993", "9007199254740993"),
            ("18446744073709551615", "18446744073709551615"),
            ("0.5", "0.5"),
            ("1e-7", "1e-7"),
            ("1e21", "1e+21"),
            ("123456789012345680000.0", "123456789012345680000"),
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(canonical_json(&value), canonical, "{text}");
        }
    }

    #[test]
    fn digests_are_read_strictly() {
        let digest = Sha256Digest::of(b"");
        assert_eq!(
            digest.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(digest.to_string().parse::<Sha256Digest>().unwrap(), digest);
        for text in [
            "",
            "sha256:",
            "sha256:é",
            "sha512:00",
            &digest.to_string().to_uppercase(),
        ] {
            assert!(text.parse::<Sha256Digest>().is_err(), "{text:?}");
        }
    }
}
