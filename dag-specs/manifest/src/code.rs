//! The codes of diagnostics: what each means, for `explain` and the documentation.

/// A stable code of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `BJ` and four digits; never given to another meaning.
    pub id: &'static str,
    /// The meaning in a few words.
    pub title: &'static str,
    /// What it means and what to do, in Markdown.
    pub text: &'static str,
}

/// Defines constants of [`Code`] and the table of them all, in order.
#[macro_export]
macro_rules! define_codes {
    ($($name:ident = $id:literal, $title:literal, $text:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: $crate::code::Code = $crate::code::Code { id: $id, title: $title, text: $text };
        )*

        /// Every code of this module, in order.
        pub const ALL: &[$crate::code::Code] = &[$($name),*];
    };
}

define_codes! {
    FILE_TOO_LARGE = "BJ0001", "the file is too large",
        "A spec or manifest is at most 4 MiB. Put data into datasets, not into the file.";
    NOT_UTF8 = "BJ0002", "the file is not UTF-8",
        "Files are read as UTF-8. Save the file in that encoding; UTF-16 and older encodings are not guessed.";
    FORBIDDEN_CHARACTER = "BJ0003", "a character is not allowed",
        "YAML 1.2 (section 5.1) allows no control characters besides tab and line ends, and a byte order mark only at the very start. Inside a double-quoted text they can be written as an escape such as `\\x07`.";
    YAML_SYNTAX = "BJ0004", "this is not YAML",
        "The text breaks the rules of YAML 1.2. Common causes: a tab in the indentation, a value that starts with `*`, `&`, `%`, `@` or a backtick and is not quoted, a `: ` inside an unquoted value, a missing quote or bracket. Nothing after this place could be read.";
    EMPTY = "BJ0005", "the file is empty",
        "The file holds no value: it is empty, or only has comments.";
    SEVERAL_DOCUMENTS = "BJ0006", "there is more than one document in the file",
        "A file holds exactly one spec. Put each document into a file of its own; `---` may only stand before the first.";
    DUPLICATE_KEY = "BJ0007", "a key occurs twice",
        "A mapping may have each key once. Many YAML readers silently keep the last; nothing is guessed here.";
    TAG = "BJ0008", "tags are not allowed",
        "Explicit types such as `!!str` or `!include` are not part of the format. To make a value a text, quote it.";
    MERGE_KEY = "BJ0009", "merge keys are not allowed",
        "`<<` is no part of YAML 1.2 and its rules differ between readers. Use `defaults` for settings that tasks share, or an alias for a whole value.";
    KEY_NOT_TEXT = "BJ0010", "a key is not a plain text",
        "Keys are texts; lists, mappings and aliases cannot be keys.";
    TOO_COMPLEX = "BJ0011", "the file is too complex",
        "Limits: 500,000 values, 1,000,000 parser events, 32 levels of nesting, 256 KiB in one text.";
    ALIAS = "BJ0012", "an alias cannot be used",
        "An alias `*name` must follow its anchor `&name`, not stand inside it. A file may have 256 anchors and 256 aliases, and all of them together may copy 100,000 values or 4 MiB of text.";
    MORE_PROBLEMS = "BJ0013", "there are more problems",
        "At most 100 problems are shown at once. Correct these, then look again.";
    UNKNOWN_FIELD = "BJ0020", "there is no such field",
        "The format has no field of this name here. Unknown fields are errors, so that a misspelt one is not silently ignored.";
    MISSING_FIELD = "BJ0021", "a field is missing",
        "The field must be present.";
    WRONG_TYPE = "BJ0022", "a value is of the wrong type",
        "For example a text where a list is wanted. A quoted number is a text; `yes` and `no` are texts, the truth values are `true` and `false`.";
    OUT_OF_RANGE = "BJ0023", "a value is out of range",
        "The value is below the least or above the most that is allowed.";
    INVALID_NAME = "BJ0024", "a name is not valid",
        "Names are 1 to 63 of `a-z`, `0-9` and `-`, the first a letter or digit, so that they need no escaping in paths, URLs and container names.";
    INVALID_AMOUNT = "BJ0025", "an amount is not valid",
        "Bytes: `256MiB`, `1GB`, a whole number. Durations: `500ms`, `10s`, `1h30m`; the unit is never left out. CPUs: `1`, `0.5`, `500m`.";
    NUMBER_NOT_EXACT = "BJ0026", "a number cannot be kept",
        "Numbers are whole ones from −2⁶³ to 2⁶⁴−1 or finite IEEE 754 doubles. Write others as texts in quotes.";
    TOO_LONG = "BJ0027", "a value is too long",
        "A text, list or mapping has more characters or members than allowed here.";
    INVALID_SCHEMA = "BJ0030", "this is not a JSON Schema",
        "The value must be a JSON Schema of draft 2020-12.";
    SCHEMA_TOO_LARGE = "BJ0031", "the schema is too large",
        "Limits: 64 KiB, 32 levels, 64 patterns of 256 KiB compiled each, 256 references that expand to at most 100,000 schemas.";
    SCHEMA_REFERENCE = "BJ0032", "a reference in the schema cannot be used",
        "`$ref` may only point into the same schema (`#/$defs/name`) and may not lead back to itself; `$id`, `$anchor` and `$dynamicRef` are not available. Nothing is ever fetched.";
    SCHEMA_DRAFT = "BJ0033", "the schema is of another draft",
        "Only draft 2020-12 is read. Leave `$schema` out, or set it to `https://json-schema.org/draft/2020-12/schema`.";
    SCHEMA_PATTERN = "BJ0034", "a pattern in the schema cannot be used",
        "Patterns are run by an engine with linear time, which has neither back-references nor look-around.";
    PARAMS_NOT_OBJECT = "BJ0035", "the parameters' schema is not that of an object",
        "Parameters have names: the schema must say `type: object` at its top.";
    DEFAULT_NOT_VALID = "BJ0036", "a default does not satisfy its schema",
        "A parameter's `default` is used as if it had been given and must therefore be valid.";
    INVALID_VERSION = "BJ0100", "the version is not valid",
        "Versions follow Semantic Versioning 2.0.0: `1.0.0`, `1.2.0-rc.1`. Build metadata (`+…`) is not allowed: it would not tell versions apart.";
    INVALID_MEDIA_TYPE = "BJ0101", "the media type is not valid",
        "Write `type/subtype` as registered with IANA, for example `text/csv`, without parameters.";
    INVALID_PATH = "BJ0102", "the path is not valid",
        "Paths of artifacts are relative to `/out`, in Unicode normalisation form C, at most 1,024 bytes, without `.`, `..`, empty segments, `\\`, control and invisible characters.";
    PATHS_COLLIDE = "BJ0103", "two outputs collide",
        "Each artifact has its own path, different from `result.json` and from each other also where case is ignored; none lies inside another.";
    INVALID_COMMAND = "BJ0104", "the command is not valid",
        "`command` is a list of texts: the program, then its arguments; at most 64 of at most 4,096 bytes, without NUL. There is no shell around it.";
    RESOURCES_CONTRADICT = "BJ0105", "the resources contradict each other",
        "`/tmp` is part of `memory`, and an artifact must fit into `disk`.";
}
