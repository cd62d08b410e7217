/*
 * report_html.c: owns the look of `tuff verify --html`: one page that needs nothing from outside. It draws what the
 * report holds and computes nothing new.
 */
#include "verify.h"

#include "../dtype.h"
#include "../shape.h"
#include "../status.h"

#include <math.h>
#include <stdlib.h>

/* The chart, in pixels of its SVG: ratios from 10^LOWEST up to 10^HIGHEST, the ends standing for all beyond. */
enum { WIDTH = 900, HEIGHT = 260, LEFT = 56, RIGHT = 10, TOP = 10, BOTTOM = 26, LOWEST = -4, HIGHEST = 3 };
enum { MOST_ROWS = 40 };

static const char *const phase_colours[] = {
    [TUFF_VERIFY_FORWARD] = "#1f77b4", [TUFF_VERIFY_TRAINING] = "#2ca02c", [TUFF_VERIFY_STEPS] = "#9467bd"};

static void write_head(FILE *file, const tuff_verify_report *report)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>tuff verify: ", file);
    tuff__verify_write_escaped(file, report->model);
    fputs(
        "</title>\n<style>body{font:14px system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}"
        "h1{font-size:1.3em}h2{font-size:1.05em;margin:1.8em 0 .3em}p{margin:.2em 0;color:#555}svg{width:100%}"
        "svg text{font-size:11px;fill:#555}.grid{stroke:#ddd}.limit{stroke:#d62728}"
        ".verdict{font-size:1.1em;padding:.6em .8em;color:#fff;border-radius:4px}.right{background:#2a7f3f}"
        ".wrong{background:#b3261e}table{border-collapse:collapse;margin-top:.5em;font-variant-numeric:tabular-nums}"
        "td,th{border:1px solid #ddd;padding:.2em .5em;text-align:right}th{background:#f6f6f6}"
        "td.t{text-align:left;overflow-wrap:anywhere}tr.bad td{background:#fdecea}</style></head>\n<body>\n",
        file);
}

static void write_fact(FILE *file, const char *name, const char *value)
{
    fprintf(file, "<tr><th>%s</th><td class=\"t\">", name);
    tuff__verify_write_escaped(file, value);
    fputs("</td></tr>\n", file);
}

static void write_facts(FILE *file, const tuff_verify_report *report)
{
    char what[160], verdict[TUFF__VERDICT_TEXT];
    tuff__verify_verdict(report, verdict);
    fprintf(file, "<h1>tuff verify</h1>\n<p class=\"verdict %s\">",
            report->failures || report->stopped ? "wrong" : "right");
    tuff__verify_write_escaped(file, verdict);
    fputs("</p>\n<table>\n", file);
    write_fact(file, "model", report->model);
    write_fact(file, "device", report->device.name);
    write_fact(file, "driver", report->device.driver);
    snprintf(what, sizeof what, "%s, %u rows of %u tokens, seed %llu, %.1f s",
             report->info.train ? "inference and training" : "inference", report->info.batch_size,
             report->info.sequence_length, (unsigned long long)report->info.seed, report->seconds);
    write_fact(file, "verified", what);
    write_fact(file, "tuff", tuff_version());
    fputs("</table>\n", file);
}

static void write_groups(FILE *file, const tuff__verify_group *groups, size_t count)
{
    fputs("<h2>Operators</h2>\n<table><tr><th>operator</th><th>kernel</th><th>results</th><th>wrong</th>"
          "<th>elements</th><th>out of tolerance</th><th>worst error / allowance</th><th>at</th></tr>\n",
          file);
    for (size_t i = 0; i < count; i++) {
        const tuff__verify_group *group = &groups[i];
        fprintf(file, "<tr%s><td class=\"t\">%s</td><td class=\"t\">%s</td><td>%zu</td><td>%zu</td>",
                group->failures ? " class=\"bad\"" : "", group->op, group->variant, group->records, group->failures);
        fprintf(file, "<td>%llu</td><td>%llu</td><td>%.3g</td><td class=\"t\">", (unsigned long long)group->elements,
                (unsigned long long)group->bad, group->worst->ratio);
        tuff__verify_write_escaped(file, group->worst->label);
        fputs("</td></tr>\n", file);
    }
    fputs("</table>\n", file);
}

/* -- chart -------------------------------------------------------------------------------------------------------- */

static double y_at(double power)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (HIGHEST - power) / (HIGHEST - LOWEST);
}

static double power_of(const tuff_verify_record *record)
{
    return fmin(HIGHEST, fmax(LOWEST, log10(record->ratio))); /* 0 is at the bottom, NaN's infinity at the top */
}

static void write_dot(FILE *file, const tuff_verify_report *report, size_t index)
{
    const tuff_verify_record *record = &report->records[index];
    const double x = LEFT + (WIDTH - LEFT - RIGHT) * ((double)index + 0.5) / (double)report->count;
    fprintf(file, "<circle fill=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"><title>%zu: %s ",
            record->bad ? "#d62728" : phase_colours[record->phase], x, y_at(power_of(record)), record->bad ? 5 : 2,
            index, record->op);
    tuff__verify_write_escaped(file, record->label);
    fprintf(file, ": %.3g</title></circle>\n", record->ratio);
}

static void write_chart(FILE *file, const tuff_verify_report *report)
{
    fputs("<h2>Error over allowance, in the order of execution</h2>\n<p>", file);
    for (int phase = TUFF_VERIFY_FORWARD; phase <= TUFF_VERIFY_STEPS; phase++)
        fprintf(file, "<span style=\"color:%s\">&#9679;</span> %s&emsp;", phase_colours[phase],
                tuff__verify_phase_name((tuff_verify_phase)phase));
    fprintf(file,
            "<span style=\"color:#d62728\">&#9679;</span> wrong&emsp;the line at 1 is the allowance</p>\n"
            "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"error over allowance of every result\">\n",
            WIDTH, HEIGHT);
    for (int power = LOWEST; power <= HIGHEST; power++) {
        fprintf(file, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"%s\"/>", LEFT, y_at(power),
                WIDTH - RIGHT, y_at(power), power == 0 ? "limit" : "grid");
        fprintf(file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s%g</text>\n", LEFT - 6, y_at(power) + 4,
                power == LOWEST    ? "&#8804; "
                : power == HIGHEST ? "&#8805; "
                                   : "",
                pow(10, power));
    }
    for (size_t i = 0; i < report->count; i++)
        write_dot(file, report, i);
    fprintf(file, "<text x=\"%d\" y=\"%d\">%zu results</text>\n</svg>\n", LEFT, HEIGHT - 8, report->count);
}

/* -- the worst records -------------------------------------------------------------------------------------------- */

static int by_ratio(const void *a, const void *b)
{
    const tuff_verify_record *one = *(const tuff_verify_record *const *)a;
    const tuff_verify_record *two = *(const tuff_verify_record *const *)b;
    if (one->ratio != two->ratio)
        return one->ratio < two->ratio ? 1 : -1;
    return one < two ? -1 : one > two; /* qsort keeps no order of its own */
}

static void write_record(FILE *file, const tuff_verify_record *record)
{
    char shape[TUFF__SHAPE_TEXT];
    fprintf(file, "<tr%s><td class=\"t\">%s</td><td class=\"t\">%s</td><td class=\"t\">",
            record->bad ? " class=\"bad\"" : "", tuff__verify_phase_name(record->phase), record->op);
    tuff__verify_write_escaped(file, record->label);
    fprintf(file, "</td><td class=\"t\">%s %s</td><td>%llu</td><td>%llu</td><td>%.9g</td><td>%.9g</td><td>%.3g</td>",
            tuff__dtype_name(record->dtype), tuff__shape_text(&record->shape, shape), (unsigned long long)record->bad,
            (unsigned long long)record->worst, record->got, record->want, record->allowed);
    fprintf(file, "<td>%.3g</td><td>%llu / %llu</td><td>%llu / %llu</td></tr>\n", record->ratio,
            (unsigned long long)record->got_nan, (unsigned long long)record->want_nan,
            (unsigned long long)record->got_inf, (unsigned long long)record->want_inf);
}

static tuff_status write_worst(FILE *file, const tuff_verify_report *report)
{
    const tuff_verify_record **sorted = tuff__malloc((report->count + 1) * sizeof(tuff_verify_record *));
    if (!sorted)
        return tuff__fail_memory("verify", report->count * sizeof(tuff_verify_record *));
    for (size_t i = 0; i < report->count; i++)
        sorted[i] = &report->records[i];
    qsort(sorted, report->count, sizeof(tuff_verify_record *), by_ratio);
    const size_t shown = report->count < MOST_ROWS ? report->count : MOST_ROWS;
    fprintf(file,
            "<h2>The %zu largest errors</h2>\n<table><tr><th>phase</th><th>operator</th><th>label</th><th>result</th>"
            "<th>out of tolerance</th><th>element</th><th>got</th><th>want</th><th>allowed</th><th>ratio</th>"
            "<th>NaN got / want</th><th>infinite got / want</th></tr>\n",
            shown);
    for (size_t i = 0; i < shown; i++)
        write_record(file, sorted[i]);
    fputs("</table>\n", file);
    tuff__free(sorted);
    return TUFF_SUCCESS;
}

tuff_status tuff__verify_write_html(FILE *file, const tuff_verify_report *report, const tuff__verify_group *groups,
                                    size_t count)
{
    write_head(file, report);
    write_facts(file, report);
    write_groups(file, groups, count);
    if (report->count > 0)
        write_chart(file, report);
    TUFF_TRY(write_worst(file, report));
    fputs("</body></html>\n", file);
    return TUFF_SUCCESS;
}
