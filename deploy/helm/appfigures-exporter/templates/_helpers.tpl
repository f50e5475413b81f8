{{/* name is the name of all objects. With the hash of a Pod's revision it must fit into a label of 63 bytes. */}}
{{- define "appfigures-exporter.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "appfigures" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- .Release.Name | trunc 32 | trimSuffix "-" -}}-appfigures-exporter
{{- end -}}
{{- end -}}

{{- define "appfigures-exporter.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* testSelector selects the Pod of helm test, which the Service must not. */}}
{{- define "appfigures-exporter.testSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "appfigures-exporter.commonLabels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "appfigures-exporter.labels" -}}
{{ include "appfigures-exporter.selector" . }}
{{ include "appfigures-exporter.commonLabels" . }}
{{- end -}}

{{- define "appfigures-exporter.serviceAccount" -}}
{{- $default := ternary (include "appfigures-exporter.name" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $default -}}
{{- end -}}

{{/* pod is what the exporter's Pod and that of helm test have in common. */}}
{{- define "appfigures-exporter.pod" -}}
serviceAccountName: {{ include "appfigures-exporter.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
  {{- with .Values.podSecurityContext }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* container is what the containers of both have in common. */}}
{{- define "appfigures-exporter.container" -}}
{{- $image := .Values.image -}}
{{- $tag := $image.tag | default .Chart.AppVersion -}}
image: {{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $tag }}{{ end }}
imagePullPolicy: {{ $image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
secrets is the JSON list of the Secrets with tokens. One that is used twice would have a token probed under two names,
for twice the requests.
*/}}
{{- define "appfigures-exporter.secrets" -}}
{{- $dirs := list }}
{{- range .Values.tokenSecrets }}
{{- if has .name $dirs }}
{{- fail (printf "the tokens of the Secret %q would be probed twice: name it once" .name) }}
{{- end }}
{{- $dirs = append $dirs .name }}
{{- end }}
{{- $names := $dirs }}
{{- $keys := list }}
{{- range .Values.tokens }}
{{- $key := printf "%s/%s" .secret.name .secret.key }}
{{- if or (has .secret.name $dirs) (has $key $keys) }}
{{- fail (printf "the key %q of the Secret %q would be probed twice: name it once" .secret.key .secret.name) }}
{{- end }}
{{- $keys = append $keys $key }}
{{- $names = append $names .secret.name }}
{{- end }}
{{- if not (or $names .Values.config.token_dir) }}
{{- fail "no tokens: set tokenSecrets to existing Secrets of which each key is a token, or list tokens one by one" }}
{{- end }}
{{- $names | uniq | sortAlpha | toJson }}
{{- end -}}

{{/* config is config.yml. After --set, fractions are strings. */}}
{{- define "appfigures-exporter.config" -}}
{{- $config := deepCopy .Values.config }}
{{- range $key, $value := $config.pacing }}
{{- if has $key (list "quota_share" "reserve") }}
{{- $_ := set $config.pacing $key (float64 $value) }}
{{- end }}
{{- end }}
{{- $tokens := list }}
{{- range .Values.tokens }}
{{- $file := printf "/run/secrets/appfigures/%s/%s" .secret.name .secret.key }}
{{- $tokens = append $tokens (set (omit . "secret") "token_file" $file) }}
{{- end }}
{{- with $tokens }}
{{- $_ := set $config "tokens" . }}
{{- end }}
{{- $dirs := $config.token_dir | default list }}
{{- range .Values.tokenSecrets }}
{{- $dirs = append $dirs (set (omit . "name") "path" (printf "/run/secrets/appfigures/%s" .name)) }}
{{- end }}
{{- with $dirs }}
{{- $_ := set $config "token_dir" . }}
{{- end }}
{{- toYaml $config }}
{{- end -}}
