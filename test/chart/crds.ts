import type { LabelSelector, ObjectMeta } from 'kubernetes-types/meta/v1.js';

/**
 * Custom resources that the chart makes, by hand, as far as it uses them.
 *
 * cert-manager.io/v1 Certificate:
 * https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.Certificate
 */
export interface Certificate {
  readonly apiVersion: 'cert-manager.io/v1';
  readonly kind: 'Certificate';
  readonly metadata: ObjectMeta;
  readonly spec: {
    readonly secretName: string;
    readonly commonName?: string;
    readonly dnsNames?: readonly string[];
    /** Go durations. */
    readonly duration?: string;
    readonly renewBefore?: string;
    readonly usages?: readonly ('digital signature' | 'key encipherment' | 'client auth')[];
    readonly privateKey?: {
      readonly algorithm?: 'RSA' | 'ECDSA' | 'Ed25519';
      readonly encoding?: 'PKCS1' | 'PKCS8';
      readonly size?: number;
      readonly rotationPolicy?: 'Never' | 'Always';
    };
    readonly issuerRef: {
      readonly name: string;
      readonly kind?: string;
      readonly group?: string;
    };
  };
}

/**
 * https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PodMonitor; a port is named, and the
 * selector is a LabelSelector.
 */
export interface PodMonitor {
  readonly apiVersion: 'monitoring.coreos.com/v1';
  readonly kind: 'PodMonitor';
  readonly metadata: ObjectMeta;
  readonly spec: {
    readonly jobLabel?: string;
    readonly podTargetLabels?: readonly string[];
    readonly selector: LabelSelector;
    readonly podMetricsEndpoints: readonly {
      readonly port?: string;
      readonly path?: string;
      readonly scheme?: string;
      /** Prometheus durations. */
      readonly interval?: string;
      readonly scrapeTimeout?: string;
      readonly honorLabels?: boolean;
      readonly relabelings?: readonly {
        readonly sourceLabels?: readonly string[];
        readonly separator?: string;
        readonly targetLabel?: string;
        readonly regex?: string;
        readonly replacement?: string;
        readonly action?: string;
      }[];
    }[];
  };
}

/** https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule */
export interface PrometheusRule {
  readonly apiVersion: 'monitoring.coreos.com/v1';
  readonly kind: 'PrometheusRule';
  readonly metadata: ObjectMeta;
  readonly spec: {
    readonly groups: readonly {
      readonly name: string;
      readonly interval?: string;
      readonly rules: readonly {
        readonly alert: string;
        readonly expr: string | number;
        readonly for?: string;
        readonly labels?: Readonly<Record<string, string>>;
        readonly annotations?: Readonly<Record<string, string>>;
      }[];
    }[];
  };
}
