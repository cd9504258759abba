//! Arguments of the form `name=value`, and parameters from files.

use belljar_ids::InputName;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::str::FromStr;

/// Splits `name=value`; the message for people names `form`.
fn split<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => Err(format!("write it as {form}")),
    }
}

/// The parameters of a run, request or test.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ParamArgs {
    /// A parameter; can be given for each. VALUE is JSON where it can be read as JSON (5, true, [1,2]), else
    /// text; a text that looks like JSON goes in quotes: 'id="007"'
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<ParamPair>,
    /// File with parameters, a JSON or YAML object; `-` is stdin. --param goes before it
    #[arg(long = "params", value_name = "FILE")]
    pub params_file: Option<PathBuf>,
}

impl ParamArgs {
    /// All parameters: those of the file's text, then each `--param` over them.
    ///
    /// # Errors
    ///
    /// Where the file's text is not an object in JSON or YAML, or the same `--param` comes twice: a
    /// message for people.
    pub fn collect(&self, file: Option<&str>) -> Result<Map<String, Value>, String> {
        let mut params = file.map_or(Ok(Map::new()), object)?;
        for (at, pair) in self.params.iter().enumerate() {
            if self.params[..at]
                .iter()
                .any(|other| other.name == pair.name)
            {
                return Err(format!("--param {} is given twice", pair.name));
            }
            params.insert(pair.name.clone(), pair.value.clone());
        }
        Ok(params)
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(json_error) => serde_saphyr::from_str(text).map_err(|yaml_error| {
            format!("it is neither JSON ({json_error}) nor YAML ({yaml_error})")
        })?,
    };
    match value {
        Value::Object(members) => Ok(members),
        Value::Null => Ok(Map::new()),
        _ => Err("it must be an object: a value for each parameter's name".to_owned()),
    }
}

/// `--param name=value`.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamPair {
    /// The parameter.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl FromStr for ParamPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = split(text, "NAME=VALUE")?;
        Ok(Self {
            name: name.to_owned(),
            value: serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned())),
        })
    }
}

/// `--input name=dataset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPair {
    /// The input of the analysis.
    pub name: InputName,
    /// The dataset as the API takes it, `dataset:posts@3`.
    pub dataset: String,
}

impl FromStr for InputPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, dataset) = split(
            text,
            "NAME=dataset:DATASET, for example posts=dataset:my-posts@3",
        )?;
        if dataset.is_empty() {
            return Err("after `=` comes a dataset, for example dataset:my-posts@3".to_owned());
        }
        Ok(Self {
            name: name.parse().map_err(|error| format!("{error}"))?,
            dataset: dataset.to_owned(),
        })
    }
}

/// `--input name=path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalInput {
    /// The input of the analysis.
    pub name: InputName,
    /// The file or folder.
    pub path: PathBuf,
}

impl FromStr for LocalInput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = split(text, "NAME=PATH, for example posts=sample/posts.jsonl")?;
        if path.is_empty() {
            return Err("after `=` comes a path".to_owned());
        }
        Ok(Self {
            name: name.parse().map_err(|error| format!("{error}"))?,
            path: path.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn params(pairs: &[&str], file: Option<&str>) -> Result<Value, String> {
        let args = ParamArgs {
            params: pairs.iter().map(|pair| pair.parse().unwrap()).collect(),
            params_file: None,
        };
        args.collect(file).map(Value::Object)
    }

    #[test]
    fn values_are_json_where_they_can_be() {
        let pairs = [
            "a=5", "b=UTC", "c=\"5\"", "d=[1, 2]", "e=", "f=a=b", "g=true", "h=007",
        ];
        assert_eq!(
            params(&pairs, None).unwrap(),
            json!({ "a": 5, "b": "UTC", "c": "5", "d": [1, 2], "e": "", "f": "a=b", "g": true, "h": "007" })
        );
    }

    #[test]
    fn a_file_comes_first() {
        assert_eq!(
            params(&["a=2"], Some("a: 1\nb: [x]\n")).unwrap(),
            json!({ "a": 2, "b": ["x"] })
        );
        assert_eq!(params(&[], Some("{\"a\": 1}")).unwrap(), json!({ "a": 1 }));
        assert_eq!(params(&[], Some("")).unwrap(), json!({}));
        for wrong in ["[1]", "3", "{", "a: [", "a: 1\na: 2\n"] {
            assert!(params(&[], Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        assert!("a".parse::<ParamPair>().is_err());
        assert!("=a".parse::<ParamPair>().is_err());
        assert!("posts".parse::<InputPair>().is_err());
        assert!("posts=".parse::<InputPair>().is_err());
        assert!("Posts=x".parse::<InputPair>().is_err());
        assert!("posts=".parse::<LocalInput>().is_err());
        let twice = params(&["a=1", "a=2"], None).unwrap_err();
        assert_eq!(twice, "--param a is given twice");
    }
}
