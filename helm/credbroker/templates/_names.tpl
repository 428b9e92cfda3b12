{{/* The name of all that the chart makes. 52 letters leave room for what Kubernetes adds to a pod's. */}}
{{- define "credbroker.name" -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* What the pods are found by; it never changes. */}}
{{- define "credbroker.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The labels of all that the chart makes for the broker. */}}
{{- define "credbroker.labels" -}}
{{ include "credbroker.selector" . }}
{{ include "credbroker.made" . }}
{{- end }}

{{/* What made it. */}}
{{- define "credbroker.made" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: "{{ .Chart.Name }}-{{ .Chart.Version }}"
{{- end }}

{{/* An image, of the values `image` and the tag `otherwise`: by digest, or by tag. */}}
{{- define "credbroker.image" -}}
{{- with .image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.otherwise }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The host by which clients know the service. */}}
{{- define "credbroker.host" -}}
{{ regexReplaceAll ":[0-9]+$" (urlParse .Values.settings.public_url).host "" }}
{{- end }}

{{/* "yes" if the broker logs in to OpenBao or Vault by its service account, else nothing. */}}
{{- define "credbroker.byAccount" -}}
{{- if or .Values.openbao.replicas (dig "vault" "kubernetes" "" .Values.settings) -}}yes{{- end -}}
{{- end }}

{{/* The Secrets that become folders below /etc/credbroker, by folder. */}}
{{- define "credbroker.secrets" -}}
{{- $secrets := deepCopy .Values.existingSecrets -}}
{{- if include "credbroker.byAccount" . -}}{{- $_ := unset $secrets "vault" -}}{{- end -}}
{{- range $name, $secret := $secrets }}
{{- if $secret }}
{{ $name }}: {{ $secret | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What runs in a pod of ours and may do nothing there. */}}
{{- define "credbroker.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Whom a pod runs as, given the number of its user. */}}
{{- define "credbroker.user" -}}
runAsNonRoot: true
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Where the pods go: apart from each other, and where the values say; `selector` finds them. */}}
{{- define "credbroker.places" -}}
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- $.selector | nindent 8 }}
  {{- end }}
{{- with .pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}
