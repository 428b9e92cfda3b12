{{/* The name of all that belongs to the bundled OpenBao. */}}
{{- define "credbroker.openbao.name" -}}
{{ .Release.Name | trunc 44 | trimSuffix "-" }}-openbao
{{- end }}

{{/* What its pods are found by; it never changes. */}}
{{- define "credbroker.openbao.selector" -}}
app.kubernetes.io/name: openbao
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "credbroker.openbao.labels" -}}
{{ include "credbroker.openbao.selector" . }}
{{ include "credbroker.made" . }}
{{- end }}

{{/* The host of one of its nodes, by `number`. */}}
{{- define "credbroker.openbao.host" -}}
{{- $name := include "credbroker.openbao.name" .top -}}
{{ $name }}-{{ .number }}.{{ $name }}.{{ .top.Release.Namespace }}.svc
{{- end }}

{{- define "credbroker.openbao.address" -}}
https://{{ include "credbroker.openbao.host" . }}:8200
{{- end }}

{{/* The configuration of one of its nodes, by `number`, as YAML. */}}
{{- define "credbroker.openbao.node" -}}
{{- $openbao := .top.Values.openbao -}}
storage:
  raft:
    path: /openbao/raft
    node_id: {{ include "credbroker.openbao.name" .top }}-{{ .number }}
    # With the default of 5, nobody leads for ten seconds after a leader died.
    performance_multiplier: 1
    {{- if gt (int $openbao.replicas) 1 }}
    retry_join:
      {{- range $other := until (int $openbao.replicas) }}
      {{- if ne $other $.number }}
      - leader_api_addr: {{ include "credbroker.openbao.address" (dict "top" $.top "number" $other) }}
        leader_ca_cert_file: /openbao/tls/ca.crt
      {{- end }}
      {{- end }}
    {{- end }}
listener:
  tcp:
    address: 0.0.0.0:8200
    cluster_address: 0.0.0.0:8201
    tls_cert_file: /openbao/tls/tls.crt
    tls_key_file: /openbao/tls/tls.key
api_addr: {{ include "credbroker.openbao.address" . }}
cluster_addr: https://{{ include "credbroker.openbao.host" . }}:8201
seal:
  static:
    current_key_id: {{ $openbao.sealKeyId | quote }}
    current_key: file:///openbao/seal/key
# Written flat, because OpenBao reads labelled audit blocks wrongly from JSON.
audit:
  type: file
  path: file
  options: {file_path: stdout}
{{- if and $openbao.initialise (eq .number 0) }}
initialize:
  - broker:
      request:
        {{- include "credbroker.openbao.requests" .top | nindent 8 }}
{{- end }}
{{- end }}

{{/* What the first node does at its first start; no root token is ever shown. */}}
{{- define "credbroker.openbao.requests" -}}
- mount:
    operation: update
    path: sys/mounts/credbroker
    data: {type: kv, options: {version: "2"}}
- broker-policy:
    operation: update
    path: sys/policies/acl/credbroker-broker
    data:
      policy: {{ .Files.Get "openbao-policy.hcl" | toJson }}
- kubernetes:
    operation: update
    path: sys/auth/kubernetes
    data: {type: kubernetes}
- cluster:
    operation: update
    path: auth/kubernetes/config
    data: {kubernetes_host: "https://kubernetes.default.svc"}
- broker-role:
    operation: update
    path: auth/kubernetes/role/credbroker
    data:
      bound_service_account_names: [{{ include "credbroker.name" . | quote }}]
      bound_service_account_namespaces: [{{ .Release.Namespace | quote }}]
      audience: {{ .Values.account.audience | quote }}
      token_policies: [credbroker-broker]
      # The default policy is evaluated at every request, and costs more than the work.
      token_no_default_policy: true
      token_ttl: 3600
      token_max_ttl: 86400
{{- with .Values.openbao.operator }}
- operator-policy:
    operation: update
    path: sys/policies/acl/operator
    data:
      policy: |
        path "*" {
          capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"]
        }
- operator-role:
    operation: update
    path: auth/kubernetes/role/operator
    data:
      bound_service_account_names: [{{ . | quote }}]
      bound_service_account_namespaces: [{{ $.Release.Namespace | quote }}]
      audience: {{ $.Values.account.audience | quote }}
      token_policies: [operator]
      token_ttl: 900
{{- end }}
# Last and several times, because a new KV mount refuses requests for its first milliseconds, and a node
# whose set-up failed never opens again. One try in its first moments fails, or two, or three.
{{- range $try := until 8 }}
- keep-{{ $try }}:
    operation: update
    path: credbroker/config
    data: {max_versions: 1, cas_required: true}
    allow_failure: {{ lt $try 7 }}
{{- end }}
{{- end }}
