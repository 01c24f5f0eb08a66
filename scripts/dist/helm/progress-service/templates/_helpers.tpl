{{/* The name that everything has. */}}
{{- define "progress.name" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* By what the pods that serve are found: those of the migrations are not among them. */}}
{{- define "progress.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end }}

{{- define "progress.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "progress.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest }}{{ printf "%s@%s" $image.repository $image.digest }}
{{- else }}{{ printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* What has to be named, or does not go together; a schema cannot say why. */}}
{{- define "progress.check" -}}
{{- $values := .Values -}}
{{- if not $values.image.repository }}
{{- fail "image.repository is missing: build the image with the Dockerfile, push it to a registry of yours, and name it here" }}
{{- end }}
{{- if not $values.database.service.secret }}
{{- fail "database.service.secret is missing: the Secret with the URL of the login that serves (docs/operations.md, Database roles)" }}
{{- end }}
{{- if and $values.migrations.enabled (not $values.database.owner.secret) }}
{{- fail "database.owner.secret is missing: the Secret with the URL of the login that owns the schema; or set migrations.enabled=false and run them by hand" }}
{{- end }}
{{- if and (eq $values.database.service.secret $values.database.owner.secret) (eq $values.database.service.key $values.database.owner.key) }}
{{- fail "database.owner and database.service are the same login: the one that serves must not own the schema (docs/operations.md, Database roles)" }}
{{- end }}
{{- if not (hasKey $values.config "PROGRESS_ARCHIVE_URL") }}
{{- fail "config.PROGRESS_ARCHIVE_URL is missing: s3://bucket/prefix. Without it the archive would lie in a pod's own folder, and go with the pod" }}
{{- end }}
{{- if and (hasKey $values.config "PROGRESS_BACKUP_EVERY") (not (hasKey $values.config "PROGRESS_BACKUP_URL")) }}
{{- fail "config.PROGRESS_BACKUP_EVERY without config.PROGRESS_BACKUP_URL: backups would lie in a pod's own folder, and go with the pod" }}
{{- end }}
{{- if and $values.ingress.enabled (not $values.ingress.host) }}
{{- fail "ingress.host is missing" }}
{{- end }}
{{- range $name, $_ := $values.secretVariables }}
{{- if hasKey $values.config $name }}
{{- fail (printf "%s is both in config and in secretVariables" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Numbers come as floating ones, and would be written with an exponent. */}}
{{- define "progress.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{- define "progress.publicUrl" -}}
{{- $ingress := .Values.ingress -}}
{{- if .Values.publicUrl }}{{ .Values.publicUrl }}
{{- else if $ingress.enabled }}{{ printf "%s://%s" (ternary "https" "http" (ne $ingress.tlsSecret "")) $ingress.host }}
{{- end }}
{{- end }}

{{- define "progress.fromSecret" -}}
valueFrom:
  secretKeyRef: { name: {{ .secret | quote }}, key: {{ .key | quote }} }
{{- end }}

{{/* The configuration, for the service and for its migrations; the database's login is each one's own. */}}
{{- define "progress.environment" -}}
- { name: PROGRESS_LISTEN, value: "0.0.0.0:8080" }
- { name: PROGRESS_DATA_DIR, value: /var/lib/progress }
{{- range $name, $value := .Values.config }}
- { name: {{ $name }}, value: {{ include "progress.text" $value | quote }} }
{{- end }}
{{- range $name, $from := .Values.secretVariables }}
- name: {{ $name }}
  {{- include "progress.fromSecret" $from | nindent 2 }}
{{- end }}
{{- end }}

{{- define "progress.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "progress.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "progress.mounts" -}}
- { name: temporary, mountPath: /tmp }
- { name: data, mountPath: /var/lib/progress }
{{- range $place, $file := .Values.secretFiles }}
- { name: files-{{ $place }}, mountPath: {{ $file.path | quote }}, readOnly: true }
{{- end }}
{{- end }}

{{- define "progress.volumes" -}}
- name: temporary
  emptyDir: { sizeLimit: {{ .Values.temporary.size | quote }} }
- name: data
  emptyDir: { sizeLimit: {{ .Values.data.size | quote }} }
{{- range $place, $file := .Values.secretFiles }}
- name: files-{{ $place }}
  secret: { secretName: {{ $file.secret | quote }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{/* Where pods may run. */}}
{{- define "progress.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
