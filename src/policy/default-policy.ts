/** What `vmwarden policy init` puts beside the policy, so that an editor knows it without any network. */
export const SCHEMA_FILE = 'vmwarden-policy.schema.json';

/** What `vmwarden policy init` writes: enforces from the start, and can't restart a guest in a loop. */
export const DEFAULT_POLICY = `# yaml-language-server: $schema=${SCHEMA_FILE}
# What vmwarden does when a guest dies. See docs/policy.md.
# Check it after each change:  vmwarden policy check FILE
# A running vmwarden takes a changed file at once; a broken one is refused, and the last good one stays.
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata:
  name: default
spec:
  # observe: decide and record, act on nothing. enforce: act.
  mode: enforce

  safety:
    maxEventAge: 5m     # older events are recorded, not acted on
    maxWait: 1h         # a step that waits longer is cancelled
    # So many VMs of this host dying at once: the host is suspect, and restarts wait until it was quiet.
    storm: { vms: 5, percent: 20, within: 60s, quiet: 5m }
    concurrent: { restarts: 10, dumps: 2 }    # at once, on this host

  budgets:
    crash:
      # All limits must hold. The first attempt is at once, later ones wait: 10 s, 20 s, 40 s, ... up to 5 min.
      limits:
        - { attempts: 3, within: 1h }
        - { attempts: 6, within: 24h }
      stableAfter: 10m  # a guest that ran this long starts with no delay again; the limits still count
      delay: { base: 10s, factor: 2, max: 5m, jitter: 0.5 }

  # The first rule that matches answers. Without "initiator" a rule matches what the guest, or nobody known, caused;
  # never what the host, an operator or vmwarden did.
  rules:
    - name: guest dumps by itself
      on: [CRASH_LOADED]
      do:
        - await: { event: RESET, timeout: 10m, otherwise: [dump, restart] }
      budget: crash
      exhausted: [powerOff, hold]

    - name: crashed
      on: [CRASH, WATCHDOG]
      do: [dump, restart]
      budget: crash
      exhausted: [powerOff, hold]

    # Its memory is sealed: no dump, and no restart in place.
    - name: confidential guest died
      on: [SEV_TERM, TDX_FATAL]
      do: [hold]

    - name: asked to stop
      on: [SHUTDOWN]
      do: [powerOff]

  # Everything else is recorded and told, and nothing is done.
  otherwise: [notify]
`;
