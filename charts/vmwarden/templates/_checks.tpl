{{/* What no single value shows. */}}
{{- define "vmwarden.checks" -}}
{{- $least := add (int .Values.stopTimeoutSeconds) 5 -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $least) -}}
{{- fail (printf "terminationGracePeriodSeconds: got %d, expected at least %d, 5 s above stopTimeoutSeconds: killed before, vmwarden puts no take-over back and drains nothing" (int .Values.terminationGracePeriodSeconds) (int $least)) -}}
{{- end -}}
{{- range $key := list "host" "dataDir" "listen" "policy" "bus" "metrics" "stopTimeout" -}}
{{- if hasKey $.Values.config $key -}}
{{- fail (printf "config.%s: the chart sets it; see the values host, data, policy, bus, metrics and stopTimeoutSeconds" $key) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.dumps.path (hasKey .Values.config "dumps") -}}
{{- fail "config.dumps: dumps.path sets it; expected one of them" -}}
{{- end -}}
{{- if hasKey .Values.config "discover" -}}
{{- fail "config.discover: the value discover sets it" -}}
{{- end -}}
{{- if and .Values.discover (ne .Values.mode "daemonset") -}}
{{- fail "discover: it is for the DaemonSet; a sidecar has one VMM, which config.vms names" -}}
{{- end -}}
{{- range $index, $one := .Values.discover -}}
{{- if not (hasPrefix (printf "%s/" (trimSuffix "/" $.Values.sockets.path)) $one.driver.socket) -}}
{{- fail (printf "discover[%d].driver.socket: got %s, expected a path below sockets.path, %s: no other is mounted" $index $one.driver.socket $.Values.sockets.path) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.policy.inline .Values.policy.existingConfigMap -}}
{{- fail "policy: inline and existingConfigMap are both set; expected one of them" -}}
{{- end -}}
{{- if eq .Values.mode "sidecar" -}}
{{- if eq (int .Values.user.uid) 0 -}}
{{- fail "user.uid: got 0, expected another one: the restricted Pod Security Standard forbids root" -}}
{{- end -}}
{{- if .Values.hostPID -}}
{{- fail "hostPID: it is for the DaemonSet; in a VMM's pod use shareProcessNamespace" -}}
{{- end -}}
{{- if and .Values.sidecar.pod.create (not .Values.sidecar.pod.vmm) -}}
{{- fail "sidecar.pod.vmm: is missing; expected the VMM's container" -}}
{{- end -}}
{{- else -}}
{{- if .Values.sidecar.pod.create -}}
{{- fail "sidecar.pod.create: expected mode sidecar beside it" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.bus.tls.certManager.enabled (not .Values.bus.tls.certManager.issuerRef) -}}
{{- fail "bus.tls.certManager.issuerRef: is missing; expected { name, kind }" -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "metrics.podMonitor.enabled: expected metrics.enabled beside it; there is nothing to scrape" -}}
{{- end -}}
{{- if and .Values.priorityClass.create (not .Values.priorityClass.name) -}}
{{- fail "priorityClass.name: is missing; expected the name of the PriorityClass to create" -}}
{{- end -}}
{{- end -}}
