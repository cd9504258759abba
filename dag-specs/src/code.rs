//! The codes of diagnostics that are a DAG spec's own, and the table of all.

use belljar_manifest::code::Code;
use belljar_manifest::define_codes;

define_codes! {
    NOT_A_SPEC = "BJ0200", "this is not a DAG spec in JSON",
        "A spec that was stored or sent as JSON does not have the shape of one. Specs that people write come as YAML and get a code of their own for each problem.";
    TASK_COUNT = "BJ0201", "there are no tasks, or too many",
        "A DAG has 1 to 2,000 tasks and at most 20,000 edges between them.";
    INVALID_ANALYSIS = "BJ0202", "the reference to an analysis is not valid",
        "Write `name@range` with a range as Cargo reads it (`posts-clean@1`, `posts-clean@=1.2.0`, `posts-clean@>=1.2, <2`), or `name@sha256:…` for exactly one version.";
    INVALID_INPUT = "BJ0203", "the source of an input is not valid",
        "Write `task:<task>/<path below /out>`, `dataset:<name>`, `dataset:<name>@<number>` or `dataset:<name>@sha256:…`.";
    UNKNOWN_TASK = "BJ0204", "there is no such task",
        "`needs` and `task:` may only name tasks of the same DAG.";
    SELF_EDGE = "BJ0205", "a task needs itself",
        "A task cannot wait for itself or read its own output.";
    CYCLE = "BJ0206", "the tasks form a cycle",
        "Each of the tasks named waits for the one before it, so none could ever start. Remove one of the edges. One shortest cycle is shown for each group of tasks that is caught in one.";
    DUPLICATE_NEED = "BJ0207", "a task is needed twice",
        "`needs` may name each task once.";
    IMPLIED_NEED = "BJ0208", "a need is already implied",
        "A warning: the task reads an output of the one that it also names under `needs`; the input alone makes the edge.";
    DUPLICATE_POOL = "BJ0209", "a pool is named twice",
        "A task may draw on up to 8 pools, each once; ask for more `slots` instead.";
    NOT_SUPPORTED = "BJ0210", "the feature is not supported yet",
        "The format has, or will have, a field of this name, but this release does not do what it says. It is refused, because a field that is accepted and then not obeyed is worse than none.";
    INTERVALS_CONTRADICT = "BJ0211", "the retry intervals contradict each other",
        "`max_interval` must not be less than `initial`.";
    EXPRESSION_SYNTAX = "BJ0300", "the expression cannot be read",
        "Between `${{` and `}}` stands one expression of CEL, the Common Expression Language. `$${{` stands for the text `${{` itself. Keys cannot have expressions.";
    EXPRESSION_TOO_LARGE = "BJ0301", "the expression is too large",
        "An expression has at most 4 KiB, 256 operators and separators, and 32 levels of brackets; a DAG has at most 10,000 expressions.";
    UNKNOWN_VARIABLE = "BJ0302", "there is no such variable",
        "The only variable is `params`, the parameters of the run.";
    UNKNOWN_PARAMETER = "BJ0303", "there is no such parameter",
        "An expression can only read parameters that the DAG declares under `params.properties`.";
    EXPRESSION_NOT_ALLOWED = "BJ0304", "the expression uses what is not available",
        "Available: operators, lists, maps, `has`, `all`, `exists`, `exists_one`, `map`, `filter`, `size`, `contains`, `startsWith`, `endsWith`, `int`, `uint`, `double`, `string`. A macro inside another may only run over a list that is written out.";
    EXPRESSION_FAILED = "BJ0305", "the expression fails",
        "The expression was evaluated with the parameters of a run and has no value for them: a wrong type, a missing member, a division by zero, a result too large, or work beyond the limit.";
    UNKNOWN_ANALYSIS = "BJ0400", "there is no such analysis",
        "No published version of the analysis matches. `belljar analysis list` shows what there is.";
    MISSING_INPUT = "BJ0401", "an input is missing",
        "The analysis declares an input that is not optional, and the task does not say where it comes from.";
    UNKNOWN_INPUT = "BJ0402", "the analysis has no such input",
        "A task may only give the inputs that its analysis declares.";
    MEDIA_TYPE_MISMATCH = "BJ0403", "the media types do not fit",
        "The media type of the artifact or dataset must be the one that the input declares.";
    UNKNOWN_ARTIFACT = "BJ0404", "the task has no such output",
        "A path after `task:<task>/` must be `result.json` or the path of an artifact that the task's analysis declares.";
    INVALID_PARAMS = "BJ0405", "the parameters are not valid",
        "The parameters of the task must satisfy the schema of its analysis. What an expression gives is checked when a run is created.";
    RESOURCE_RAISED = "BJ0406", "a resource is raised",
        "A task may lower what its analysis asks for, not raise it: the analysis was reviewed with its own limits.";
    TIMEOUT_RAISED = "BJ0407", "the time-out is raised",
        "A task's own `timeout` may not be above its analysis's; one from `defaults` is cut to it.";
    UNKNOWN_DATASET = "BJ0408", "there is no such dataset",
        "No dataset, or no version of it, has this name. `belljar dataset list` shows what there is.";
    UNKNOWN_POOL = "BJ0409", "there is no such pool, or it is too small",
        "The task could never run: make the pool with `belljar pool set`, or ask for fewer slots.";
    OPTIONAL_ARTIFACT = "BJ0410", "an output may be absent",
        "The artifact is optional for the analysis that makes it, but the input that reads it is not.";
    KIND_MISMATCH = "BJ0411", "a file is given for a folder",
        "The input wants a folder; results and artifacts are files.";
}

/// All codes, of files in general, of manifests and of DAG specs, in order.
pub fn all_codes() -> impl Iterator<Item = &'static Code> {
    belljar_manifest::code::ALL.iter().chain(ALL)
}

/// What the code `id` means, in Markdown; upper and lower case are the same.
#[must_use]
pub fn explain(id: &str) -> Option<String> {
    let code = all_codes().find(|code| code.id.eq_ignore_ascii_case(id))?;
    Some(format!("# {}: {}\n\n{}\n", code.id, code.title, code.text))
}

/// The page of the documentation about all codes, in Markdown.
#[must_use]
pub fn documentation() -> String {
    let mut page = String::from(
        "# Diagnostics\n\n\
         Every problem that Belljar finds in a file has one of these codes, which never change their meaning. \
         A diagnostic's `docs_url` leads to its section. This page is generated from the code; a test compares them.\n",
    );
    for code in all_codes() {
        page.push_str(&format!(
            "\n<a id=\"{}\"></a>\n\n## {}: {}\n\n{}\n",
            code.id.to_ascii_lowercase(),
            code.id,
            code.title,
            code.text
        ));
    }
    page
}
