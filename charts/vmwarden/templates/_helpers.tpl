{{/* Every template here takes the chart's own context; from a chart that depends on this one: .Subcharts.vmwarden */}}

{{- define "vmwarden.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "vmwarden.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "vmwarden.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "vmwarden.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "vmwarden.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vmwarden.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "vmwarden.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "vmwarden.selectorLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "vmwarden.image" -}}
{{- with .Values.image -}}
{{- $repository := required "image.repository: say where the image of vmwarden was pushed to" .repository -}}
{{- if .digest -}}
{{- printf "%s@%s" $repository .digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "vmwarden.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "vmwarden.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* hostPath or emptyDir. */}}
{{- define "vmwarden.dataKind" -}}
{{- $kind := default (ternary "hostPath" "emptyDir" (eq .Values.mode "daemonset")) .Values.data.kind -}}
{{- if and (eq $kind "hostPath") (eq .Values.mode "sidecar") -}}
{{- fail "data.kind: hostPath is for the DaemonSet: pods of one node would share a journal, and the restricted Pod Security Standard forbids it; expected emptyDir" -}}
{{- end -}}
{{- $kind -}}
{{- end -}}

{{- define "vmwarden.busTlsSecret" -}}
{{- with .Values.bus.tls -}}
{{- if and .certManager.enabled .existingSecret -}}
{{- fail "bus.tls: existingSecret and certManager.enabled are both set; expected one of them" -}}
{{- end -}}
{{- if .certManager.enabled -}}
{{- printf "%s-redis-client" (include "vmwarden.fullname" $) -}}
{{- else -}}
{{- .existingSecret -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* vmwarden.yaml: what the operator says, and what follows from the chart. */}}
{{- define "vmwarden.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "stopTimeout" (printf "%ds" (int .Values.stopTimeoutSeconds)) -}}
{{- if or .Values.policy.inline .Values.policy.existingConfigMap -}}
{{- $_ := set $config "policy" (dict "file" (printf "/etc/vmwarden/policy/%s" .Values.policy.key)) -}}
{{- end -}}
{{- with .Values.discover -}}
{{- $_ := set $config "discover" . -}}
{{- end -}}
{{- with .Values.dumps.path -}}
{{- $_ := set $config "dumps" (dict "dir" .) -}}
{{- end -}}
{{- with .Values.metrics -}}
{{- if .enabled -}}
{{- $_ := set $config "metrics" (dict "port" (int .port) "vmSeries" (int .vmSeries)) -}}
{{- end -}}
{{- end -}}
{{- with include "vmwarden.bus" . | fromYaml -}}
{{- $_ := set $config "bus" . -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "vmwarden.bus" -}}
{{- with .Values.bus -}}
{{- if .enabled -}}
{{- $places := list -}}
{{- range $place := list "url" "sentinel" "cluster" -}}
{{- if index $.Values.bus $place -}}{{- $places = append $places $place -}}{{- end -}}
{{- end -}}
{{- if ne (len $places) 1 -}}
{{- fail (printf "bus: expected one of url, sentinel, cluster, got %s" (empty $places | ternary "none" (join ", " $places))) -}}
{{- end -}}
{{- if and .username (not .existingSecret) -}}
{{- fail "bus.username: expected bus.existingSecret with its password beside it" -}}
{{- end -}}
kind: redis
fleet: {{ .fleet | quote }}
partitions: {{ int .partitions }}
minReplicas: {{ int .minReplicas }}
{{- with .url }}
url: {{ . | quote }}
{{- end }}
{{- with .sentinel }}
sentinel: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .cluster }}
cluster: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .trim }}
trim: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .username }}
username: {{ . | quote }}
{{- end }}
{{- if .existingSecret }}
passwordFile: /etc/vmwarden/redis/password
{{- end }}
{{- $secret := include "vmwarden.busTlsSecret" $ }}
{{- if or .tls.enabled $secret .tls.serverName }}
tls:
  {{- if not (or $secret .tls.serverName) }} {}{{ end }}
  {{- with .tls.serverName }}
  serverName: {{ . | quote }}
  {{- end }}
  {{- if $secret }}
  ca: /etc/vmwarden/redis-tls/ca.crt
  {{- if or .tls.clientCertificate .tls.certManager.enabled }}
  cert: /etc/vmwarden/redis-tls/tls.crt
  key: /etc/vmwarden/redis-tls/tls.key
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* networkPolicy.redisPorts and those of the addresses: Sentinels have ports of their own. */}}
{{- define "vmwarden.redisPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.redisPorts -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- range concat (list .Values.bus.url) (default list .Values.bus.sentinel.nodes) (default list .Values.bus.cluster.nodes) -}}
{{- with regexFind ":[0-9]+/?[0-9]*$" (default "" .) -}}
{{- $ports = append $ports (regexFind "[0-9]+" . | int) -}}
{{- end -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end -}}

{{/* Of a pod with vmwarden in it: another configuration makes another pod. */}}
{{- define "vmwarden.podAnnotations" -}}
checksum/vmwarden-config: {{ include "vmwarden.config" . | sha256sum }}
{{- end -}}

{{/*
What the restricted Pod Security Standard asks of a container, and a root that can't be written. As root, which only a
DaemonSet may be, it connects to sockets of any user: without DAC_OVERRIDE root may no more than others may, mostly nothing.
*/}}
{{- define "vmwarden.containerSecurityContext" -}}
runAsNonRoot: {{ ne (int .Values.user.uid) 0 }}
runAsUser: {{ int .Values.user.uid }}
runAsGroup: {{ int .Values.user.gid }}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL]{{ if eq (int .Values.user.uid) 0 }}, add: [DAC_OVERRIDE]{{ end }} }
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "vmwarden.volumeMounts" -}}
- name: vmwarden-config
  mountPath: /etc/vmwarden/config
  readOnly: true
{{- if or .Values.policy.inline .Values.policy.existingConfigMap }}
# The directory, not the file: a file that is mounted by itself never changes.
- name: vmwarden-policy
  mountPath: /etc/vmwarden/policy
  readOnly: true
{{- end }}
- name: vmwarden-data
  mountPath: /var/lib/vmwarden
- name: vmwarden-sockets
  mountPath: {{ .Values.sockets.path }}
{{- with .Values.dumps.path }}
- name: vmwarden-dumps
  mountPath: {{ . }}
{{- end }}
{{- if .Values.bus.enabled }}
{{- if .Values.bus.existingSecret }}
- name: vmwarden-redis
  mountPath: /etc/vmwarden/redis
  readOnly: true
{{- end }}
{{- if include "vmwarden.busTlsSecret" . }}
- name: vmwarden-redis-tls
  mountPath: /etc/vmwarden/redis-tls
  readOnly: true
{{- end }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "vmwarden.volumes" -}}
{{- $onHost := eq .Values.mode "daemonset" -}}
- name: vmwarden-config
  configMap: { name: {{ include "vmwarden.fullname" . }}-config }
{{- if .Values.policy.existingConfigMap }}
- name: vmwarden-policy
  configMap: { name: {{ .Values.policy.existingConfigMap }} }
{{- else if .Values.policy.inline }}
- name: vmwarden-policy
  configMap: { name: {{ include "vmwarden.fullname" . }}-policy }
{{- end }}
- name: vmwarden-data
  {{- if eq (include "vmwarden.dataKind" .) "hostPath" }}
  hostPath: { path: {{ .Values.data.path }}, type: DirectoryOrCreate }
  {{- else }}
  emptyDir: { sizeLimit: {{ .Values.data.sizeLimit }} }
  {{- end }}
- name: vmwarden-sockets
  {{- if $onHost }}
  hostPath: { path: {{ .Values.sockets.path }}, type: DirectoryOrCreate }
  {{- else }}
  emptyDir: { sizeLimit: 16Mi }
  {{- end }}
{{- with .Values.dumps.path }}
- name: vmwarden-dumps
  {{- if $onHost }}
  hostPath: { path: {{ . }}, type: DirectoryOrCreate }
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- if .Values.bus.enabled }}
{{- with .Values.bus.existingSecret }}
- name: vmwarden-redis
  secret:
    secretName: {{ . }}
    # Of the pod's group alone; the kubelet gives it to fsGroup.
    defaultMode: 0440
    items: [{ key: {{ $.Values.bus.passwordKey }}, path: password }]
{{- end }}
{{- with include "vmwarden.busTlsSecret" . }}
- name: vmwarden-redis-tls
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The container, as a DaemonSet has it. */}}
{{- define "vmwarden.container" -}}
name: vmwarden
image: {{ include "vmwarden.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/vmwarden/config/vmwarden.yaml]
env:
  {{- if eq .Values.mode "daemonset" }}
  # The node's name: its journal stays on it, so do the records' host and journal id.
  - name: NODE_NAME
    valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
  - name: VMWARDEN_HOST
    value: {{ printf "%s$(NODE_NAME)" .Values.host.prefix | quote }}
  {{- else }}
  # Namespace and pod: a journal lives as long as its pod, and a name is free again once the pod is gone.
  - name: POD_NAMESPACE
    valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
  - name: POD_NAME
    valueFrom: { fieldRef: { fieldPath: metadata.name } }
  - name: VMWARDEN_HOST
    value: {{ printf "%s$(POD_NAMESPACE).$(POD_NAME)" .Values.host.prefix | quote }}
  {{- end }}
  {{- if .Values.metrics.enabled }}
  # Whichever family it is of.
  - name: VMWARDEN_METRICS_HOST
    valueFrom: { fieldRef: { fieldPath: status.podIP } }
  {{- end }}
  - name: VMWARDEN_DATA_DIR
    value: /var/lib/vmwarden
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
securityContext: {{ include "vmwarden.containerSecurityContext" . | nindent 2 }}
{{- if .Values.metrics.enabled }}
ports:
  - { name: vmw-metrics, containerPort: {{ int .Values.metrics.port }}, protocol: TCP }
{{- end }}
resources: {{ toYaml .Values.resources | nindent 2 }}
volumeMounts: {{ include "vmwarden.volumeMounts" . | nindent 2 }}
startupProbe:
  {{- include "vmwarden.probe" (list . "--live") | nindent 2 }}
  periodSeconds: 1
  failureThreshold: {{ int .Values.probes.startupSeconds }}
# Whether it answers at all: one that is out of service because of Redis is not mended by a restart.
livenessProbe:
  {{- include "vmwarden.probe" (list . "--live") | nindent 2 }}
  periodSeconds: {{ int .Values.probes.periodSeconds }}
  failureThreshold: {{ int .Values.probes.livenessFailures }}
{{- end -}}

{{- define "vmwarden.probe" -}}
{{- $seconds := int (index . 0).Values.probes.timeoutSeconds -}}
exec:
  command: [/usr/local/bin/vmwarden, healthcheck, --timeout, {{ max 1 (sub $seconds 1) }}s{{ with index . 1 }}, {{ . }}{{ end }}]
timeoutSeconds: {{ $seconds }}
{{- if index . 1 }}
# The pod's period may be the VM's minutes; for so long nobody would watch once vmwarden hangs.
terminationGracePeriodSeconds: {{ add (int (index . 0).Values.stopTimeoutSeconds) 5 }}
{{- end }}
{{- end -}}

{{- define "vmwarden.readinessProbe" -}}
readinessProbe:
  {{- include "vmwarden.probe" (list . "") | nindent 2 }}
  periodSeconds: {{ int .Values.probes.periodSeconds }}
{{- end -}}

{{/*
For a VMM's own pod. An entry of its `initContainers`:

  initContainers:
    - {{ include "vmwarden.sidecar.container" .Subcharts.vmwarden | nindent 6 }}
*/}}
{{- define "vmwarden.sidecar.container" -}}
{{- if ne .Values.mode "sidecar" -}}
{{- fail "vmwarden.sidecar.container: expected mode sidecar in the values of vmwarden" -}}
{{- end -}}
{{- $container := include "vmwarden.container" . | fromYaml -}}
{{- $_ := set $container "restartPolicy" "Always" -}}
{{- if not .Values.sidecar.vmmWaits -}}
{{- $_ := unset $container "startupProbe" -}}
{{- end -}}
{{- if .Values.sidecar.readiness -}}
{{- $container = merge $container (include "vmwarden.readinessProbe" . | fromYaml) -}}
{{- end -}}
{{- toYaml $container -}}
{{- end -}}

{{/* Entries of the `volumes` of a VMM's pod. */}}
{{- define "vmwarden.sidecar.volumes" -}}
{{- include "vmwarden.volumes" . -}}
{{- end -}}

{{/* Entries of the `volumeMounts` of the VMM's container: its control socket, and where it writes dumps to. */}}
{{- define "vmwarden.sidecar.vmmVolumeMounts" -}}
- name: vmwarden-sockets
  mountPath: {{ .Values.sockets.path }}
{{- with .Values.dumps.path }}
- name: vmwarden-dumps
  mountPath: {{ . }}
{{- end }}
{{- end -}}

{{/* The `securityContext` of a VMM's pod. */}}
{{- define "vmwarden.sidecar.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ int .Values.user.uid }}
runAsGroup: {{ int .Values.user.gid }}
fsGroup: {{ int .Values.user.gid }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}
