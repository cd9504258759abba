/** A form made from a JSON Schema; the rules are in lib/schema-form.ts. */

import { Input, JsonInput, NumberInput, Select, Switch, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useMemo, useState } from "react";
import {
  collect,
  type Draft,
  type Drafts,
  type Field,
  formOf,
  initialDrafts,
  parse,
} from "../lib/schema-form";

export interface FormState {
  /** The parameters, or undefined where something is wrong (then `show` says it). */
  read(): Record<string, unknown> | undefined;
  fields: Field[] | undefined;
  drafts: Drafts;
  set(name: string, draft: Draft): void;
  errors: Record<string, string>;
  whole: string;
  setWhole(text: string): void;
  empty: boolean;
}

/** The state of a form for `schema`; a new one for a new `id`. */
export function useSchemaForm(schema: unknown, id: string): FormState {
  const form = useMemo(() => formOf(schema), [schema]);
  const fields = form.kind === "fields" ? form.fields : undefined;
  const [held, setHeld] = useState<{ id: string; drafts: Drafts; whole: string }>();
  const [shown, setShown] = useState(false);
  const current = held?.id === id ? held : { id, drafts: fields ? initialDrafts(fields) : {}, whole: "{}" };
  const collected = fields ? collect(fields, current.drafts) : { params: {}, errors: {} };
  const whole = form.kind === "json" ? parse(current.whole) : undefined;
  const wholeError = whole && wrongObject(whole);
  const errors: Record<string, string> = wholeError ? { "": wholeError } : collected.errors;
  return {
    fields,
    drafts: current.drafts,
    set: (name, draft) => setHeld({ ...current, drafts: { ...current.drafts, [name]: draft } }),
    errors: shown ? errors : {},
    whole: current.whole,
    setWhole: (text) => setHeld({ ...current, whole: text }),
    empty: form.kind === "empty",
    read: () => {
      setShown(true);
      if (Object.keys(errors).length > 0) return undefined;
      if (whole && "value" in whole) return whole.value as Record<string, unknown>;
      return collected.params;
    },
  };
}

function wrongObject(outcome: ReturnType<typeof parse>): string | undefined {
  if ("error" in outcome) return outcome.error;
  const { value } = outcome;
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? undefined
    : "This must be an object: { … }";
}

export function SchemaForm({ form }: { form: FormState }) {
  if (form.empty) {
    return <p style={{ margin: 0, color: "var(--mantine-color-dimmed)" }}>It takes no parameters.</p>;
  }
  if (!form.fields) {
    return (
      <JsonInput
        label="Parameters, as JSON"
        value={form.whole}
        onChange={form.setWhole}
        error={form.errors[""]}
        autosize
        minRows={5}
        maxRows={20}
        formatOnBlur
        styles={{ input: { fontFamily: "var(--bj-mono)", fontSize: 13 } }}
      />
    );
  }
  return (
    <div className="stack">
      {form.fields.map((field) => (
        <FieldInput
          key={field.name}
          field={field}
          draft={form.drafts[field.name]}
          error={form.errors[field.name]}
          onChange={(draft) => form.set(field.name, draft)}
        />
      ))}
    </div>
  );
}

interface InputProps {
  field: Field;
  draft: Draft;
  error: string | undefined;
  onChange: (draft: Draft) => void;
}

function FieldInput({ field, draft, error, onChange }: InputProps) {
  const { type } = field;
  const common = {
    label: field.label,
    description: field.description,
    error,
    withAsterisk: field.required,
    name: field.name,
  };
  switch (type.kind) {
    case "boolean":
      return <BooleanInput field={field} draft={draft} error={error} onChange={onChange} />;
    case "enum":
      return (
        <Select
          {...common}
          data={type.options.map((option) => ({
            value: JSON.stringify(option),
            label: typeof option === "string" ? option : JSON.stringify(option),
          }))}
          value={(draft as string | undefined) ?? null}
          onChange={(value) => onChange(value ?? undefined)}
          clearable={!field.required}
          placeholder="Choose"
        />
      );
    case "array":
      return (
        <TagsInput
          {...common}
          value={(draft as string[] | undefined) ?? []}
          onChange={onChange}
          placeholder="Type one and press Enter"
          acceptValueOnBlur
          allowDuplicates
        />
      );
    case "json":
      return (
        <Textarea
          {...common}
          value={(draft as string | undefined) ?? ""}
          onChange={(event) => onChange(event.currentTarget.value)}
          autosize
          minRows={3}
          maxRows={14}
          placeholder="JSON"
          styles={{ input: { fontFamily: "var(--bj-mono)", fontSize: 13 } }}
        />
      );
    case "integer":
    case "number":
      return (
        <NumberInput
          {...common}
          value={(draft as string | undefined) ?? ""}
          onChange={(value) => onChange(value === "" ? undefined : String(value))}
          min={type.minimum}
          max={type.maximum}
          clampBehavior="none"
          allowDecimal={type.kind === "number"}
        />
      );
    default:
      return (
        <TextInput
          {...common}
          value={(draft as string | undefined) ?? ""}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
  }
}

/** A switch where "no" and "not given" are the same; else a choice of three. */
function BooleanInput({ field, draft, error, onChange }: InputProps) {
  if (field.required || field.initial !== undefined) {
    return (
      <Input.Wrapper error={error}>
        <Switch
          label={field.label}
          description={field.description}
          checked={draft === true}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
      </Input.Wrapper>
    );
  }
  return (
    <Select
      label={field.label}
      description={field.description}
      error={error}
      data={[
        { value: "true", label: "Yes" },
        { value: "false", label: "No" },
      ]}
      value={draft === undefined ? null : String(draft)}
      onChange={(value) => onChange(value === null ? undefined : value === "true")}
      clearable
      placeholder="Not given"
    />
  );
}
