//! Amounts with their units: bytes, durations and CPU time.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A text or number that is not an amount of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {wanted}", text.escape_debug())]
pub struct InvalidAmount {
    /// The text that was given.
    pub text: String,
    /// What is wanted, with examples.
    pub wanted: &'static str,
}

impl InvalidAmount {
    fn new(text: &str, wanted: &'static str) -> Self {
        Self {
            text: text.chars().take(80).collect(),
            wanted,
        }
    }
}

/// A number of bytes: written as a whole number or with a unit, `256MiB`.
///
/// Units: `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1,024) and `kB`, `MB`, `GB`, `TB` (powers of
/// 1,000), as in ISO/IEC 80000-13; at most 2⁶³−1 bytes. Serialised as a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(u64);

const BYTES_WANTED: &str =
    "an amount of bytes: write a whole number with a unit, for example 256MiB";
const BYTE_UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl Bytes {
    /// The most that can be written: 2⁶³−1 bytes.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// That many bytes, at most 2⁶³−1.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        if bytes > Self::MAX.0 {
            Self::MAX
        } else {
            Self(bytes)
        }
    }

    /// That many times 1,024² bytes.
    #[must_use]
    pub const fn mib(mib: u32) -> Self {
        Self((mib as u64) << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Bytes {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let wrong = || InvalidAmount::new(text, BYTES_WANTED);
        let (digits, factor) = BYTE_UNITS
            .iter()
            .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
            .unwrap_or((text, 1));
        let number = whole_number(digits.trim_end_matches(' ')).ok_or_else(wrong)?;
        let bytes = number.checked_mul(factor).ok_or_else(wrong)?;
        if bytes > Self::MAX.0 {
            Err(wrong())
        } else {
            Ok(Self(bytes))
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = BYTE_UNITS[..4]
            .iter()
            .rev()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match unit {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

/// What stands for an amount outside: a number or a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Whole(u64),
    Fraction(f64),
    Text(String),
}

impl NumberOrText {
    fn into_text(self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Fraction(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

macro_rules! deserialize_as_text {
    ($type:ident) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = NumberOrText::deserialize(deserializer)?.into_text();
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
deserialize_as_text!(Bytes);
deserialize_as_text!(CpuMillis);

impl schemars::JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "An amount of bytes: a whole number, or one with a unit such as 256MiB",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+ ?(B|[KMGT]iB|kB|[MGT]B)?$" },
            ],
        })
    }
}

/// A span of time in whole milliseconds, written with its units: `500ms`, `10s`, `1h30m`.
///
/// Units `d`, `h`, `m`, `s`, `ms`, each at most once and in this order; at most 366 days. A bare
/// number is refused: nobody can see its unit. Serialised in the shortest such form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DurationMs(u64);

const DURATION_WANTED: &str =
    "a duration: write whole numbers with units, for example 500ms, 10s or 1h30m";
const DURATION_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl DurationMs {
    /// The longest that can be written: 366 days.
    pub const MAX: Self = Self(366 * 86_400_000);

    /// That many milliseconds, at most 366 days.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// That many seconds, at most 366 days.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs.saturating_mul(1_000))
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same span as the standard library's type.
    #[must_use]
    pub const fn to_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl FromStr for DurationMs {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let wrong = || InvalidAmount::new(text, DURATION_WANTED);
        let mut rest = text;
        let mut units = DURATION_UNITS.iter();
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number = whole_number(&rest[..digits]).ok_or_else(wrong)?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            // The iterator only moves forward, so units can neither repeat nor go back.
            let (_, factor) = units
                .find(|(unit, _)| *unit == &rest[..letters])
                .ok_or_else(wrong)?;
            rest = &rest[letters..];
            let millis = number.checked_mul(*factor).ok_or_else(wrong)?;
            total = total.checked_add(millis).ok_or_else(wrong)?;
        }
        if text.is_empty() || total > Self::MAX.0 {
            Err(wrong())
        } else {
            Ok(Self(total))
        }
    }
}

impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, factor) in DURATION_UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

crate::text_serde!(DurationMs, "^([0-9]+(d|h|m|s|ms))([0-9]+(h|m|s|ms))*$");

/// Processor time in thousandths of a CPU: written `1`, `0.5` or `500m`.
///
/// Serialised as a whole number of CPUs where it is one, else as `500m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CpuMillis(u32);

const CPU_WANTED: &str = "a number of CPUs: write for example 1, 0.5 or 500m";

impl CpuMillis {
    /// That many thousandths of a CPU.
    #[must_use]
    pub const fn new(millis: u32) -> Self {
        Self(millis)
    }

    /// The number of thousandths of a CPU.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for CpuMillis {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let wrong = || InvalidAmount::new(text, CPU_WANTED);
        let number = |digits: &str| whole_number(digits).and_then(|n| u32::try_from(n).ok());
        if let Some(millis) = text.strip_suffix('m') {
            return number(millis).map(Self).ok_or_else(wrong);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if fraction.is_empty() || fraction.len() > 3 {
            return Err(wrong());
        }
        let thousandths = number(&format!("{fraction:0<3}")).ok_or_else(wrong)?;
        number(whole)
            .and_then(|cpus| cpus.checked_mul(1_000)?.checked_add(thousandths))
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for CpuMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1_000) {
            write!(f, "{}", self.0 / 1_000)
        } else {
            let thousandths = format!("{:03}", self.0 % 1_000);
            write!(
                f,
                "{}.{}",
                self.0 / 1_000,
                thousandths.trim_end_matches('0')
            )
        }
    }
}

impl Serialize for CpuMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1_000) {
            serializer.serialize_u32(self.0 / 1_000)
        } else {
            serializer.collect_str(&format_args!("{}m", self.0))
        }
    }
}

impl schemars::JsonSchema for CpuMillis {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cpu".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number of CPUs: 1, 0.5 or 500m",
            "anyOf": [
                { "type": "number", "exclusiveMinimum": 0 },
                { "type": "string", "pattern": "^([0-9]+m|[0-9]+(\\.[0-9]{1,3})?)$" },
            ],
        })
    }
}

/// The number that `digits` write in decimal; nothing else, no sign, at most 19 digits.
fn whole_number(digits: &str) -> Option<u64> {
    let plain =
        !digits.is_empty() && digits.len() <= 19 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_without_a_sense_are_refused() {
        for text in [
            "",
            "MiB",
            "1.5MiB",
            "-1",
            "1 MiB ",
            "1mib",
            "9223372036854775808",
            "8388608TiB",
            "1e3",
            "٣MiB",
        ] {
            assert!(text.parse::<Bytes>().is_err(), "{text:?}");
        }
        for text in [
            "",
            "10",
            "s",
            "1m1h",
            "1s1s",
            "1.5s",
            "-1s",
            "367d",
            "99999999999999999999d",
            "1µs",
            "1 s",
        ] {
            assert!(text.parse::<DurationMs>().is_err(), "{text:?}");
        }
        for text in [
            "", ".5", "1.", "0.1234", "-1", "1e3", "m", "5000000", "1.5m", "NaN",
        ] {
            assert!(text.parse::<CpuMillis>().is_err(), "{text:?}");
        }
        assert!(serde_json::from_str::<Bytes>("1.5").is_err());
        assert!(serde_json::from_str::<DurationMs>("5").is_err());
        assert!(serde_json::from_str::<CpuMillis>("-0.5").is_err());
    }

    #[test]
    fn amounts_are_read_and_written() {
        for (text, bytes) in [
            ("0", 0),
            ("256MiB", 256 << 20),
            ("1 kB", 1_000),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(text.parse::<Bytes>().unwrap().get(), bytes, "{text:?}");
        }
        assert_eq!(Bytes::new(1536 << 20).to_string(), "1536MiB");
        for (text, millis) in [
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("2m", 120_000),
            ("1d1ms", 86_400_001),
            ("0s", 0),
        ] {
            let duration = text.parse::<DurationMs>().unwrap();
            assert_eq!(duration.as_millis(), millis, "{text:?}");
            assert_eq!(duration.to_string(), text);
        }
        assert_eq!("90s".parse::<DurationMs>().unwrap().to_string(), "1m30s");
        for (text, millis, written) in [
            ("1", 1_000, "1"),
            ("0.5", 500, "\"500m\""),
            ("250m", 250, "\"250m\""),
            ("1.25", 1_250, "\"1250m\""),
        ] {
            let cpu = text.parse::<CpuMillis>().unwrap();
            assert_eq!(cpu.get(), millis, "{text:?}");
            assert_eq!(serde_json::to_string(&cpu).unwrap(), written);
            assert_eq!(serde_json::from_str::<CpuMillis>(written).unwrap(), cpu);
        }
        assert_eq!(serde_json::from_str::<CpuMillis>("0.5").unwrap().get(), 500);
    }
}
