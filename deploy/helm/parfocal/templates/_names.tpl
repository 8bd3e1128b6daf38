{{- define "parfocal.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "parfocal.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "parfocal.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "parfocal.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "parfocal.selector" -}}
app.kubernetes.io/name: {{ include "parfocal.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "parfocal.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "parfocal.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: server
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "parfocal.image" -}}
{{- $tag := .Values.image.tag | default (printf "%s-%s" .Chart.AppVersion (ternary "cuda" "cpu" .Values.gpu.enabled)) -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{- define "parfocal.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "parfocal.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "parfocal.tlsSecret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "parfocal.fullname" .)) -}}
{{- end -}}

{{- define "parfocal.hasKeys" -}}
{{- if and .Values.keys.existingSecret (not .Values.insecure) }}true{{ end -}}
{{- end -}}

{{- define "parfocal.isLocal" -}}
{{- if not .Values.registry.location }}true{{ end -}}
{{- end -}}

{{- define "parfocal.probe" -}}
{{- $type := .Values.probes.type -}}
{{- if eq $type "auto" }}{{ $type = ternary "http" "grpc" .Values.tls.enabled }}{{ end -}}
{{- if eq $type "grpc" -}}
grpc:
  port: 50051
{{- else -}}
httpGet:
  path: /readyz
  port: metrics
{{- end -}}
{{- end -}}
