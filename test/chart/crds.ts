import type { ObjectMeta } from 'kubernetes-types/meta/v1.js';

/**
 * Custom resources that the chart makes, by hand, as far as it uses them. cert-manager.io/v1 Certificate:
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
