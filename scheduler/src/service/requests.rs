//! Requests: one analysis on given data, as a run with one task.

use super::resolve::resolve;
use super::runs::{Started, idempotency};
use super::{By, Service, ServiceError, invalid};
use belljar_api::requests::RequestCreate;
use belljar_dag_specs::{AnalysisRef, Dag, InputSource, Spec, TaskSpec};
use belljar_engine::plan::{PlannedInput, RunPlan};
use belljar_engine::rows::RequestRow;
use belljar_ids::{AnalysisName, Micros, RequestId, RunId};
use belljar_manifest::code;
use belljar_manifest::{Diagnostic, InputName};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The longest purpose, in characters.
const PURPOSE_MAX: usize = 500;

impl Service {
    /// Makes a request: checked whole before it is answered. Its run.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Invalid`], [`ServiceError::GrantMissing`],
    /// [`ServiceError::IdempotencyMismatch`], [`ServiceError::Leader`].
    pub async fn request_create(
        &self,
        by: &By,
        request: RequestCreate,
        key: Option<String>,
    ) -> Result<Started, ServiceError> {
        let submission = json!({
            "analysis": request.analysis,
            "inputs": request.inputs,
            "params": request.params,
            "purpose": request.purpose,
        });
        let idempotency = idempotency(by, "request_create", key, &submission);
        if let Some(row) = self.replayed(idempotency.as_ref()).await? {
            return Ok(Started {
                row,
                created: false,
            });
        }
        let dag = dag(&request).map_err(|problems| invalid("the request", problems))?;
        let resolved = resolve(&self.store, &by.tenant, &dag).await?;
        let given = Value::Object(Map::new());
        let plan = self
            .plan(by, dag, given, resolved, &request.purpose, false)
            .await?;
        let row = row(by, &request, &plan)?;
        self.run_create(by, plan, idempotency, Some(row)).await
    }
}

fn row(by: &By, request: &RequestCreate, plan: &RunPlan) -> Result<RequestRow, ServiceError> {
    let work = plan.tasks.first().map(|task| &task.work);
    let work = work.ok_or_else(|| ServiceError::Stored("an empty plan".to_owned()))?;
    let inputs: BTreeMap<String, String> = work
        .inputs
        .iter()
        .map(|(name, input)| (name.to_string(), describe(input)))
        .collect();
    Ok(RequestRow {
        tenant: by.tenant.clone(),
        request: RequestId::from_uuid(uuid::Uuid::now_v7()),
        // Both are filled in by the engine.
        run: RunId::from_uuid(uuid::Uuid::nil()),
        created_at: Micros(0),
        analysis: work.analysis.clone(),
        analysis_digest: work.analysis_digest,
        inputs: json!(inputs),
        params: request.params.clone().into(),
        purpose: request.purpose.clone(),
        principal: by.principal.clone(),
    })
}

/// A planned input in the words of a spec: `dataset:posts@3`, `task:clean/result.json`.
#[must_use]
pub fn describe(input: &PlannedInput) -> String {
    use belljar_engine::plan::OutputRef;
    match input {
        PlannedInput::Dataset { name, version, .. } => format!("dataset:{name}@{version}"),
        PlannedInput::Task {
            task,
            output: OutputRef::Result,
        } => format!("task:{task}/result.json"),
        PlannedInput::Task {
            task,
            output: OutputRef::Artifact(artifact),
        } => format!("task:{task}/{artifact}"),
    }
}

/// The DAG of a request: one task with the analysis's name, and no parameters of its own.
fn dag(request: &RequestCreate) -> Result<Dag, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    if request.purpose.chars().count() > PURPOSE_MAX {
        let message = format!("the purpose has more than {PURPOSE_MAX} characters");
        problems.push(Diagnostic::error(&code::TOO_LONG, "/purpose", message));
    }
    let mut wrong = |pointer: String, message: String| {
        problems.push(Diagnostic::error(&code::INVALID_NAME, pointer, message));
    };
    let analysis = analysis(&request.analysis)
        .map_err(|message| wrong("/analysis".to_owned(), message))
        .ok();
    let mut inputs: BTreeMap<InputName, InputSource> = BTreeMap::new();
    for (name, reference) in &request.inputs {
        match input(name, reference) {
            Ok((name, source)) => {
                inputs.insert(name, source);
            }
            Err(message) => wrong(format!("/inputs/{}", escape_pointer(name)), message),
        }
    }
    let Some(analysis) = analysis.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    let name = analysis.name.as_str().to_owned();
    let task = task(analysis, inputs, &request.params)?;
    let spec = json!({ "dag": name, "tasks": { name.clone(): task } });
    let spec: Spec = serde_json::from_value(spec)
        .map_err(|error| vec![Diagnostic::error(&code::WRONG_TYPE, "", error.to_string())])?;
    Dag::from_spec(spec)
}

fn task(
    analysis: AnalysisRef,
    inputs: BTreeMap<InputName, InputSource>,
    params: &Map<String, Value>,
) -> Result<Value, Vec<Diagnostic>> {
    let mut task: TaskSpec = serde_json::from_value(json!({ "analysis": analysis.to_string() }))
        .map_err(|error| {
            vec![Diagnostic::error(
                &code::WRONG_TYPE,
                "/analysis",
                error.to_string(),
            )]
        })?;
    task.inputs = inputs;
    task.params = params
        .iter()
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect();
    Ok(serde_json::to_value(task).unwrap_or_default())
}

/// `value` such that none of its texts holds an expression: a requester's parameters are data.
fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace("${{", "$${{").into(),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => {
            let plain = |(key, value): (&String, &Value)| (key.clone(), plain(value));
            Value::Object(members.iter().map(plain).collect())
        }
        other => other.clone(),
    }
}

/// `name@range`, `name@sha256:…`, or `name` alone for its newest release.
fn analysis(text: &str) -> Result<AnalysisRef, String> {
    if text.contains('@') {
        return text
            .parse()
            .map_err(|error: belljar_dag_specs::InvalidReference| error.to_string());
    }
    let name: AnalysisName = text
        .parse()
        .map_err(|error: belljar_ids::InvalidId| error.to_string())?;
    format!("{name}@*")
        .parse()
        .map_err(|error: belljar_dag_specs::InvalidReference| error.to_string())
}

/// `posts`, `posts@3` or `dataset:posts@3`; never another run's output.
fn input(name: &str, reference: &str) -> Result<(InputName, InputSource), String> {
    let name = name
        .parse()
        .map_err(|error: belljar_manifest::names::InvalidName| error.to_string())?;
    let reference = reference.strip_prefix("dataset:").unwrap_or(reference);
    let source = format!("dataset:{reference}")
        .parse()
        .map_err(|error: belljar_dag_specs::InvalidReference| error.to_string())?;
    Ok((name, source))
}

fn escape_pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(analysis: &str, inputs: &[(&str, &str)], params: Value) -> RequestCreate {
        serde_json::from_value(json!({
            "analysis": analysis,
            "inputs": inputs.iter().copied().collect::<BTreeMap<_, _>>(),
            "params": params,
        }))
        .unwrap()
    }

    #[test]
    fn a_request_is_a_dag_of_one_task() {
        let dag = dag(&request("words", &[("posts", "posts@3")], json!({}))).unwrap();
        assert_eq!(dag.name().as_str(), "words");
        let task = &dag.tasks()[0];
        assert_eq!(task.name.as_str(), "words");
        assert_eq!(task.analysis.to_string(), "words@*");
        assert_eq!(
            task.inputs.values().next().unwrap().to_string(),
            "dataset:posts@3"
        );
    }

    #[test]
    fn hostile_names_and_references_are_refused_all_at_once() {
        let inputs = [
            ("a/b", "posts"),
            ("b", "task:other/result.json"),
            ("c", "../../etc"),
        ];
        let problems = dag(&request("Words@1", &inputs, json!({}))).unwrap_err();
        let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/analysis", "/inputs/a~1b", "/inputs/b", "/inputs/c"]
        );
    }

    #[test]
    fn parameters_are_data_and_never_evaluated() {
        use belljar_dag_specs::expression::{Context, evaluate_value};
        let context = Context::new(json!({ "secret": 1 })).unwrap();
        for text in [
            "${{ params.secret }}",
            "$${{ x }}",
            "${{${{",
            "a${{b",
            "$$${{",
            "$",
            "}}",
        ] {
            let value = json!({ "a": [text] });
            let again = evaluate_value(&plain(&value), &context, "").unwrap();
            assert_eq!(again, value, "{text}");
        }
    }
}
