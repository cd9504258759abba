/** Signing in: a token is exchanged for a cookie that scripts cannot read. */

import { Button, PasswordInput } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate, useRouter } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api } from "../api/client";
import { signedOut } from "../api/problem";
import { ProblemNote } from "../components/common";
import { Logo } from "../components/Icon";

const route = getRouteApi("/sign-in");

/** Only a place on this site: a link to the sign-in page must not lead elsewhere afterwards. */
const local = (next: string | undefined) =>
  next?.startsWith("/") && !/^\/[/\\]/.test(next) ? next : "/dags";

export function SignInPage() {
  useDocumentTitle("Sign in · Belljar");
  const { next } = route.useSearch();
  const [token, setToken] = useState("");
  const cache = useQueryClient();
  const navigate = useNavigate();
  const router = useRouter();
  const signIn = useMutation({
    mutationFn: () => api.signIn(token.trim()),
    onSuccess: async () => {
      cache.clear();
      setToken("");
      await router.invalidate();
      await navigate({ href: local(next), replace: true });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (token.trim() !== "") signIn.mutate();
  };
  const refused = signIn.isError && signedOut(signIn.error);
  return (
    <main className="sign-in">
      <div className="card" style={{ width: "100%", maxWidth: 440, padding: "32px 28px" }}>
        <div style={{ display: "flex", alignItems: "center", gap: 12, marginBottom: 6 }}>
          <Logo size={36} />
          <h1 style={{ fontSize: 22, margin: 0, letterSpacing: "-0.015em" }}>Sign in to Belljar</h1>
        </div>
        <p style={{ color: "var(--mantine-color-dimmed)", margin: "0 0 20px", fontSize: 15 }}>
          Other people's analyses on private data, under glass.
        </p>
        <form onSubmit={submit}>
          <PasswordInput
            label="Token"
            placeholder="bj_…"
            value={token}
            onChange={(event) => setToken(event.currentTarget.value)}
            error={
              refused ? "This token is not valid (any more). Check that you copied all of it." : undefined
            }
            autoComplete="current-password"
            spellCheck={false}
            data-autofocus
            autoFocus
            size="md"
          />
          {signIn.isError && !refused && (
            <div style={{ marginTop: 16 }}>
              <ProblemNote error={signIn.error} />
            </div>
          )}
          <Button
            type="submit"
            fullWidth
            size="md"
            mt="md"
            loading={signIn.isPending}
            disabled={token.trim() === ""}
          >
            Sign in
          </Button>
        </form>
        <div style={{ marginTop: 24, fontSize: 14, lineHeight: 1.6 }}>
          <h2 style={{ fontSize: 14, margin: "0 0 6px" }}>Where is my token?</h2>
          <ul style={{ margin: 0, paddingLeft: 18, color: "var(--mantine-color-dimmed)" }}>
            <li>
              Started with <code>make demo</code>? <code>make token</code> prints it.
            </li>
            <li>
              Otherwise it is in the file <code>token</code> in the server's data directory, which it wrote
              when it first started. Only the person who started it can read it.
            </li>
            <li>Somebody else runs this server? Ask them for one.</li>
          </ul>
        </div>
      </div>
    </main>
  );
}
