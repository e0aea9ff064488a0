{{/* What all pods have in common: no root, no rights, nothing to write but what is named. */}}
{{- define "s3sync.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: s3sync
{{- end }}

{{- define "s3sync.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "s3sync.pod" -}}
automountServiceAccountToken: false
securityContext: {runAsNonRoot: true, runAsUser: 10001, runAsGroup: 10001, fsGroup: 10001}
{{- end }}

{{- define "s3sync.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}
