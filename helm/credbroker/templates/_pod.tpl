{{/* The broker's pod, the same in a StatefulSet and in a Deployment. */}}
{{- define "credbroker.pod" -}}
metadata:
  labels:
    {{- include "credbroker.labels" . | nindent 4 }}
  annotations:
    # Most settings are read at the start only, so other settings mean other pods.
    credbroker/settings: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum | quote }}
    {{- with .Values.pod.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "credbroker.name" . | quote }}
  automountServiceAccountToken: false
  # A Service called credbroker would put CREDBROKER_PORT and the like into the environment.
  enableServiceLinks: false
  # Refreshes in flight are awaited and stored, and the spool is handed in: what the issuer has
  # rotated exists nowhere else.
  terminationGracePeriodSeconds: 200
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "credbroker.user" .Values.user | nindent 4 }}
  {{- $places := dict "pod" .Values.pod "selector" (include "credbroker.selector" .) }}
  {{- include "credbroker.places" $places | nindent 2 }}
  containers:
    - name: credbroker
      image: {{ include "credbroker.image" (dict "image" .Values.image "otherwise" .Chart.AppVersion) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: [credbroker, serve, --config, /etc/credbroker/config.d, --replica, $(POD_NAME)]
      env:
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
      ports:
        - name: https
          containerPort: 8200
          protocol: TCP
      securityContext:
        {{- include "credbroker.confined" . | nindent 8 }}
      {{- include "credbroker.watched" . | nindent 6 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      {{- include "credbroker.mounts" . | nindent 6 }}
  {{- include "credbroker.volumes" . | nindent 2 }}
{{- end }}

{{/* How the cluster sees that the broker lives and may be asked, and how it is stopped. */}}
{{- define "credbroker.watched" -}}
startupProbe:
  httpGet: {path: /livez, port: https, scheme: HTTPS}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /livez, port: https, scheme: HTTPS}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: https, scheme: HTTPS}
  periodSeconds: 5
  timeoutSeconds: 3
lifecycle:
  preStop:
    # Long enough for all to hear that this pod gets no more callers; what was begun is finished by
    # the broker itself, when it is told to stop.
    sleep:
      seconds: 5
{{- end }}

{{/* Where the broker's files appear. */}}
{{- define "credbroker.mounts" -}}
volumeMounts:
  - {name: settings, mountPath: /etc/credbroker/config.d, readOnly: true}
  {{- range $name, $secret := include "credbroker.secrets" . | fromYaml }}
  - {name: {{ $name }}, mountPath: /etc/credbroker/{{ $name }}, readOnly: true}
  {{- end }}
  {{- if .Values.authorities }}
  - {name: authorities, mountPath: /etc/credbroker/authorities, readOnly: true}
  {{- end }}
  {{- if include "credbroker.byAccount" . }}
  - {name: account, mountPath: /etc/credbroker/account, readOnly: true}
  {{- end }}
  {{- if .Values.openbao.replicas }}
  - {name: openbao-ca, mountPath: /etc/credbroker/openbao, readOnly: true}
  {{- end }}
  - {name: kept, mountPath: /var/log/credbroker}
{{- end }}

{{/* What the broker's files come from; what a replica keeps has a claim of its own, or none. */}}
{{- define "credbroker.volumes" -}}
volumes:
  - name: settings
    configMap:
      name: {{ include "credbroker.name" . | quote }}
  {{- range $name, $secret := include "credbroker.secrets" . | fromYaml }}
  - name: {{ $name }}
    secret:
      secretName: {{ $secret | quote }}
      # Owner and group; the broker refuses a secret that everybody may read.
      defaultMode: 0440
  {{- end }}
  {{- with .Values.authorities }}
  - name: authorities
    configMap:
      name: {{ . | quote }}
  {{- end }}
  {{- if include "credbroker.byAccount" . }}
  - name: account
    projected:
      defaultMode: 0440
      sources:
        - serviceAccountToken:
            path: token
            audience: {{ .Values.account.audience | quote }}
            expirationSeconds: 3600
  {{- end }}
  {{- if .Values.openbao.replicas }}
  - name: openbao-ca
    secret:
      secretName: {{ .Values.openbao.existingSecrets.tls | quote }}
      defaultMode: 0440
      items:
        - {key: ca.crt, path: ca.crt}
  {{- end }}
  {{- if eq .Values.spool "none" }}
  - name: kept
    emptyDir:
      sizeLimit: {{ .Values.volume.size | quote }}
  {{- end }}
{{- end }}
