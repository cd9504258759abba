/** The frame of every page: navigation, the stream of events, the colour scheme, signing out. */

import { ActionIcon, AppShell, Burger, Menu, Tooltip, useMantineColorScheme } from "@mantine/core";
import { useDisclosure, useNetwork } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Refresher } from "../api/cache";
import { api } from "../api/client";
import { type Connection, EventStream } from "../api/events";
import { queries } from "../api/queries";
import { Icon, type IconName, Logo } from "./Icon";

const PLACES: { to: string; label: string; icon: IconName }[] = [
  { to: "/dags", label: "DAGs", icon: "dags" },
  { to: "/runs", label: "Runs", icon: "runs" },
  { to: "/requests", label: "Requests", icon: "requests" },
  { to: "/datasets", label: "Datasets", icon: "datasets" },
  { to: "/executors", label: "Executors", icon: "executors" },
];

/** Keeps the one stream open while the shell is shown. */
function useEvents(): Connection {
  const cache = useQueryClient();
  const navigate = useNavigate();
  const { online } = useNetwork();
  const [connection, setConnection] = useState<Connection>("connecting");
  const stream = useRef<EventStream | undefined>(undefined);
  useEffect(() => {
    const refresher = new Refresher(cache);
    const current = new EventStream({
      onEvent: (event) => refresher.event(event),
      onReset: () => refresher.reset(),
      onConnection: setConnection,
    });
    stream.current = current;
    void current.run();
    return () => {
      current.close();
      refresher.drop();
    };
  }, [cache]);
  useEffect(() => {
    if (online) stream.current?.hurry();
  }, [online]);
  useEffect(() => {
    if (connection !== "signed_out") return;
    cache.clear();
    void navigate({ to: "/sign-in", search: { next: location.pathname + location.search } });
  }, [connection, cache, navigate]);
  return connection;
}

export function Shell() {
  const [open, { toggle, close }] = useDisclosure(false);
  const connection = useEvents();
  const path = useRouterState({ select: (state) => state.location.pathname });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu closes when the place changes
  useEffect(close, [path]);
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 216, breakpoint: "sm", collapsed: { mobile: !open } }}
      padding={{ base: "md", sm: "xl" }}
    >
      <a href="#main" className="skip">
        Skip to the content
      </a>
      <AppShell.Header>
        <div style={{ display: "flex", alignItems: "center", height: "100%", padding: "0 16px", gap: 12 }}>
          <Burger
            opened={open}
            onClick={toggle}
            hiddenFrom="sm"
            size="sm"
            aria-label="Navigation"
            aria-expanded={open}
          />
          <Link to="/dags" className="brand">
            <Logo /> Belljar
          </Link>
          <div style={{ marginLeft: "auto", display: "flex", gap: 12, alignItems: "center" }}>
            <LiveMark connection={connection} />
            <SchemeMenu />
            <PersonMenu />
          </div>
        </div>
      </AppShell.Header>
      <AppShell.Navbar p="sm" aria-label="Main">
        <div style={{ display: "grid", gap: 2 }}>
          {PLACES.map(({ to, label, icon }) => (
            <Link key={to} to={to} className="nav-link">
              <Icon name={icon} />
              {label}
            </Link>
          ))}
        </div>
        <ServerVersion />
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        {connection === "lost" && <LostBanner />}
        <div style={{ maxWidth: 1240, margin: "0 auto" }}>
          <Outlet />
        </div>
      </AppShell.Main>
    </AppShell>
  );
}

function LostBanner() {
  return (
    <div
      className="banner"
      role="status"
      style={{ borderRadius: 8, marginBottom: 16, border: "1px solid var(--bj-line)" }}
    >
      <Icon name="alert" size={16} />
      The server does not answer. What you see may be old; this page comes back by itself.
    </div>
  );
}

function LiveMark({ connection }: { connection: Connection }) {
  const [tone, text, help] = (
    {
      live: ["good", "Live", "Changes are shown as they happen"],
      connecting: ["calm", "Connecting", "Connecting to the server"],
      lost: ["warn", "Reconnecting", "The connection is lost; trying again"],
      signed_out: ["calm", "Signed out", "Sign in again"],
    } as const
  )[connection];
  return (
    <Tooltip label={help} withArrow>
      <span className="live" data-tone={tone} role="status">
        <i aria-hidden="true" />
        {text}
      </span>
    </Tooltip>
  );
}

function SchemeMenu() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const icon: IconName = colorScheme === "dark" ? "moon" : colorScheme === "light" ? "sun" : "system";
  const items = [
    ["light", "Light", "sun"],
    ["dark", "Dark", "moon"],
    ["auto", "Like the system", "system"],
  ] as const;
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label="Colours">
          <Icon name={icon} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {items.map(([value, label, name]) => (
          <Menu.Item
            key={value}
            leftSection={<Icon name={name} size={16} />}
            rightSection={colorScheme === value ? "✓" : undefined}
            onClick={() => setColorScheme(value)}
          >
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function PersonMenu() {
  const cache = useQueryClient();
  const navigate = useNavigate();
  const who = useQuery(queries.whoami());
  const out = useMutation({
    mutationFn: api.signOut,
    onSuccess: async () => {
      await navigate({ to: "/sign-in", search: {} });
      cache.clear();
    },
  });
  const name = who.data?.principal ?? "…";
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="light" size="lg" radius="xl" aria-label={`Signed in as ${name}`}>
          <span style={{ fontWeight: 640, fontSize: 14 }}>{name.slice(0, 1).toUpperCase()}</span>
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          Signed in as <span className="hostile">{name}</span>
        </Menu.Label>
        <Menu.Item leftSection={<Icon name="signout" size={16} />} onClick={() => out.mutate()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function ServerVersion() {
  const version = useQuery(queries.version());
  return (
    <div
      style={{ marginTop: "auto", padding: "8px 12px", fontSize: 12.5, color: "var(--mantine-color-dimmed)" }}
    >
      Belljar {version.data?.version ?? ""}
    </div>
  );
}
