/** The policy of the demo, as an operator would write it. */
export const DEMO_POLICY = `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: demo }
spec:
  mode: enforce
  budgets:
    crash:
      limits: [{ attempts: 3, within: 1h }]
      delay: { base: 10s, factor: 2, max: 5m, jitter: 0.5 }
  rules:
    - name: crashed
      on: [CRASH, WATCHDOG]
      do: [dump, restart]
      budget: crash
      exhausted: [powerOff, hold]
    - name: asked to stop
      on: [SHUTDOWN]
      do: [powerOff]
  otherwise: [notify]
`;
