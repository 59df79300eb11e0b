/**
 * The process's metrics as Prometheus reads them. The SDK and its exporter are the application's choice, and stand before
 * the router is created; they are development packages here, so that nobody gets them with the library.
 */
import type { RequestListener } from 'node:http';

import { metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';

export function prometheus(): RequestListener {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [exporter] }));
  return (request, response) => exporter.getMetricsRequestHandler(request, response);
}
