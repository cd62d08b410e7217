/* train_report.c: owns the look of log.html. It draws what the log holds and computes nothing new. */
#include "train_report.h"

#include "../io/file.h"
#include "../os.h"

#include <math.h>
#include <stdlib.h>

/* The plot of a chart, in pixels of its SVG; the rest is for the numbers on its axes. */
enum { WIDTH = 640, HEIGHT = 240, LEFT = 64, RIGHT = 12, TOP = 10, BOTTOM = 26, MOST_POINTS = 1000 };

typedef double (*value_fn)(const tuff__log_entry *entry);

typedef struct series {
    const char *name, *colour;
    bool evaluation; /* takes these entries, else those of training steps */
    bool dots;
    value_fn value;
} series;

static double loss_of(const tuff__log_entry *entry)
{
    return entry->loss;
}

static double rate_of(const tuff__log_entry *entry)
{
    return entry->learning_rate;
}

static double accuracy_of(const tuff__log_entry *entry)
{
    return entry->accuracy;
}

static double f1_of(const tuff__log_entry *entry)
{
    return entry->macro_f1;
}

static void write_escaped(FILE *file, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '&':
            fputs("&amp;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        default:
            fputc(*text, file);
        }
    }
}

/* -- charts ------------------------------------------------------------------------------------------------------- */

typedef struct axes {
    double x_max, y_min, y_max, y_tick;
} axes;

/* 1, 2 or 5 times a power of ten, about a fifth of the span. */
static double nice_tick(double span)
{
    const double power = pow(10, floor(log10(span / 5))), share = span / 5 / power;
    return power * (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10);
}

/* False when no entry belongs to any of the series. */
static bool find_axes(const tuff__train_log *log, const series *all, size_t count, axes *out)
{
    double low = HUGE_VAL, high = -HUGE_VAL, x_max = 1;
    for (size_t i = 0; i < log->count; i++) {
        for (size_t s = 0; s < count; s++) {
            if (all[s].evaluation != log->entries[i].evaluation)
                continue;
            low = fmin(low, all[s].value(&log->entries[i]));
            high = fmax(high, all[s].value(&log->entries[i]));
            x_max = fmax(x_max, (double)log->entries[i].step);
        }
    }
    if (low > high)
        return false;
    if (high - low < 1e-12) {
        high += fabs(high) * 0.1 + 1e-9;
        low = fmin(low, 0);
    }
    const double tick = nice_tick(high - low);
    *out = (axes){.x_max = x_max, .y_min = floor(low / tick) * tick, .y_max = ceil(high / tick) * tick, .y_tick = tick};
    return true;
}

static double x_at(const axes *a, double step)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * step / a->x_max;
}

static double y_at(const axes *a, double value)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (a->y_max - value) / (a->y_max - a->y_min);
}

static void draw_axes(FILE *file, const axes *a)
{
    const int lines = (int)lround((a->y_max - a->y_min) / a->y_tick);
    for (int i = 0; i <= lines; i++) {
        const double value = a->y_min + i * a->y_tick, y = y_at(a, value);
        fprintf(file, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"grid\"/>", LEFT, y, WIDTH - RIGHT, y);
        fprintf(file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", LEFT - 6, y + 4,
                fabs(value) < a->y_tick * 1e-6 ? 0.0 : value);
    }
    const double tick = fmax(1, nice_tick(a->x_max));
    for (double step = 0; step <= a->x_max; step += tick)
        fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.6g</text>\n", x_at(a, step), HEIGHT - 8,
                step);
}

static void draw_series(FILE *file, const tuff__train_log *log, const series *one, const axes *a)
{
    size_t count = 0;
    for (size_t i = 0; i < log->count; i++)
        count += log->entries[i].evaluation == one->evaluation;
    const size_t stride = count / MOST_POINTS + 1;
    fprintf(file, "<polyline stroke=\"%s\" points=\"", one->colour);
    size_t seen = 0;
    for (size_t i = 0; i < log->count; i++) {
        const tuff__log_entry *entry = &log->entries[i];
        if (entry->evaluation == one->evaluation && seen++ % stride == 0)
            fprintf(file, "%.1f,%.1f ", x_at(a, (double)entry->step), y_at(a, one->value(entry)));
    }
    fputs("\"/>\n", file);
    for (size_t i = 0; i < log->count && one->dots; i++)
        if (log->entries[i].evaluation == one->evaluation)
            fprintf(file,
                    "<circle fill=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>step %llu: %.6g</title></circle>\n",
                    one->colour, x_at(a, (double)log->entries[i].step), y_at(a, one->value(&log->entries[i])),
                    (unsigned long long)log->entries[i].step, one->value(&log->entries[i]));
}

static void draw_chart(FILE *file, const tuff__train_log *log, const char *title, const series *all, size_t count)
{
    axes a;
    if (!find_axes(log, all, count, &a))
        return;
    fprintf(file, "<h2>%s</h2>\n<p>", title);
    for (size_t s = 0; s < count; s++)
        fprintf(file, "<span style=\"color:%s\">&#9632;</span> %s&emsp;", all[s].colour, all[s].name);
    fprintf(file, "</p>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s by step\">\n", WIDTH, HEIGHT, title);
    draw_axes(file, &a);
    for (size_t s = 0; s < count; s++)
        draw_series(file, log, &all[s], &a);
    fputs("</svg>\n", file);
}

/* -- confusion matrix --------------------------------------------------------------------------------------------- */

static void draw_confusion(FILE *file, const tuff__metrics *metrics, const char *const *labels)
{
    enum { MOST_LABELS = 64 };
    const size_t count = metrics->label_count;
    fprintf(file,
            "<h2>Confusion matrix</h2>\n<p>%llu rows, accuracy %.2f %%, macro F1 %.2f %%, loss %.4f; rows: label,"
            " columns: prediction.</p>\n",
            (unsigned long long)metrics->row_count, 100 * tuff__metrics_accuracy(metrics),
            100 * tuff__metrics_macro_f1(metrics), tuff__metrics_loss(metrics));
    if (count > MOST_LABELS) {
        fprintf(file, "<p>With %zu labels the matrix is too large to draw.</p>\n", count);
        return;
    }
    fputs("<table><tr><th></th>", file);
    for (size_t j = 0; j < count; j++) {
        fputs("<th>", file);
        write_escaped(file, labels[j]);
        fputs("</th>", file);
    }
    fputs("</tr>\n", file);
    for (size_t i = 0; i < count; i++) {
        uint64_t total = 0;
        for (size_t j = 0; j < count; j++)
            total += metrics->confusion[i * count + j];
        fputs("<tr><th>", file);
        write_escaped(file, labels[i]);
        fputs("</th>", file);
        for (size_t j = 0; j < count; j++) {
            const uint64_t cell = metrics->confusion[i * count + j];
            fprintf(file, "<td style=\"background:rgba(%s,%.2f)\">%llu</td>", i == j ? "31,119,180" : "214,39,40",
                    total ? (double)cell / (double)total : 0.0, (unsigned long long)cell);
        }
        fputs("</tr>\n", file);
    }
    fputs("</table>\n", file);
}

static void write_page(FILE *file, const tuff__train_report *report)
{
    static const series losses[] = {{"training", "#1f77b4", false, false, loss_of},
                                    {"evaluation", "#d62728", true, true, loss_of}};
    static const series rates[] = {{"learning rate", "#1f77b4", false, false, rate_of}};
    static const series scores[] = {{"accuracy", "#2ca02c", true, true, accuracy_of},
                                    {"macro F1", "#9467bd", true, true, f1_of}};
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", file);
    write_escaped(file, report->title);
    fputs(
        "</title>\n<style>body{font:14px system-ui,sans-serif;max-width:44em;margin:2em auto;padding:0 1em;color:#222}"
        "h1{font-size:1.3em}h2{font-size:1.05em;margin:1.6em 0 .2em}p{margin:.2em 0;color:#555}svg{width:100%}"
        "svg text{font-size:11px;fill:#555}.grid{stroke:#ddd}polyline{fill:none;stroke-width:1.5}"
        "table{border-collapse:collapse;margin-top:.5em}td,th{border:1px solid #ddd;padding:.25em .6em;"
        "text-align:right;font-weight:normal}</style></head>\n<body><h1>",
        file);
    write_escaped(file, report->title);
    fputs("</h1>\n", file);
    draw_chart(file, report->log, "Loss", losses, 2);
    draw_chart(file, report->log, "Evaluation", scores, 2);
    draw_chart(file, report->log, "Learning rate", rates, 1);
    if (report->metrics)
        draw_confusion(file, report->metrics, report->labels);
    fputs("</body></html>\n", file);
}

tuff_status tuff__train_report_save(const tuff__train_report *report, const char *path)
{
    tuff__file_writer writer;
    const tuff_status status = tuff__file_writer_open(&writer, path);
    if (status != TUFF_SUCCESS) {
        tuff__file_writer_abort(&writer);
        return status;
    }
    void *locale = tuff__c_locale_begin();
    write_page(writer.file, report); /* a write that fails shows at commit, which asks the stream */
    tuff__c_locale_end(locale);
    return tuff__file_writer_commit(&writer);
}
