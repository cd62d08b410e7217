/* test_checkpoint.c: single files and shards, what is refused, and that a folder is replaced whole or not at all. */
#include "../runtime/io/file.h"

#include "check_checkpoint.h"
#include "check_file.h"

#include <stdlib.h>

static const float numbers[] = {1, 2, 3, 4, 5, 6};

static void write_tensors(const char *path, const char *first, const char *second)
{
    const tuff__safetensors_item items[] = {
        {.name = first, .shape = {.rank = 1, .dims = {2}}, .data = numbers},
        {.name = second, .shape = {.rank = 1, .dims = {4}}, .data = numbers + 2},
    };
    assert_int_equal(tuff__safetensors_write(path, items, second ? 2 : 1), TUFF_SUCCESS);
}

static const char *make_folder(const char *name)
{
    const char *path = tuff__check_path(name);
    assert_int_equal(tuff__directory_create(path), TUFF_SUCCESS);
    return path;
}

static void refuse(const char *folder, tuff_status status, const char *part)
{
    tuff__checkpoint *checkpoint = NULL;
    tuff__check_failed(tuff__checkpoint_open(tuff__check_path(folder), &checkpoint), status, part);
    assert_null(checkpoint);
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

static void test_single_file(void **state)
{
    (void)state;
    tuff__checkpoint *checkpoint = NULL;
    const char *folder = make_folder("single");
    assert_false(tuff__checkpoint_has_weights(folder));
    write_tensors(tuff__check_path("single/model.safetensors"), "b", "a");
    assert_true(tuff__checkpoint_has_weights(folder));
    assert_int_equal(tuff__checkpoint_open(folder, &checkpoint), TUFF_SUCCESS);
    assert_int_equal(tuff__checkpoint_count(checkpoint), 2);
    assert_string_equal(tuff__checkpoint_entry(checkpoint, 0)->name, "a");
    assert_string_equal(tuff__checkpoint_path(checkpoint), tuff__check_path("single/model.safetensors"));
    float values[4];
    assert_int_equal(tuff__safetensors_read_f32(tuff__check_find(checkpoint, "a"), values), TUFF_SUCCESS);
    assert_true(values[3] == 6);
    assert_null(tuff__check_find(checkpoint, "c"));
    tuff__checkpoint_destroy(checkpoint);
    tuff__checkpoint_destroy(NULL);
}

static void write_index(const char *text)
{
    make_folder("shards");
    tuff__check_write_text(tuff__check_path("shards/model.safetensors.index.json"), text);
}

static void test_shards(void **state)
{
    (void)state;
    tuff__checkpoint *checkpoint = NULL;
    write_index("{\"metadata\": {\"total_size\": 24}, \"weight_map\": {\"d\": \"model-00002-of-00002.safetensors\","
                "\"a\": \"model-00001-of-00002.safetensors\", \"c\": \"model-00002-of-00002.safetensors\"}}");
    write_tensors(tuff__check_path("shards/model-00001-of-00002.safetensors"), "a", NULL);
    refuse("shards", TUFF_ERROR_IO, "model-00002-of-00002.safetensors: cannot open: No such file");
    write_tensors(tuff__check_path("shards/model-00002-of-00002.safetensors"), "c", "d");
    assert_int_equal(tuff__checkpoint_open(tuff__check_path("shards"), &checkpoint), TUFF_SUCCESS);
    assert_int_equal(tuff__checkpoint_count(checkpoint), 3);
    assert_string_equal(tuff__checkpoint_entry(checkpoint, 2)->name, "d");
    assert_int_equal(tuff__check_find(checkpoint, "d")->count, 4);
    assert_non_null(strstr(tuff__check_find(checkpoint, "a")->path, "model-00001"));
    tuff__checkpoint_destroy(checkpoint);
    write_tensors(tuff__check_path("shards/model-00002-of-00002.safetensors"), "c", NULL);
    refuse("shards", TUFF_ERROR_INVALID_FILE,
           "says that 'd' is in 'model-00002-of-00002.safetensors', but it is not there");
    write_tensors(tuff__check_path("shards/model-00002-of-00002.safetensors"), "d", "a");
    refuse("shards", TUFF_ERROR_INVALID_FILE, "'a' is also in");
}

static void test_refuses_broken_index(void **state)
{
    (void)state;
    write_index("{\"weight_map\": {\"a\": \"../model.safetensors\"}}");
    refuse("shards", TUFF_ERROR_INVALID_FILE,
           "'a' is the string \"../model.safetensors\", wanted the name of a file in the folder");
    write_index("{\"weight_map\": {\"a\": \"/etc/passwd\"}}");
    refuse("shards", TUFF_ERROR_INVALID_FILE, "wanted the name of a file in the folder");
    write_index("{\"weight_map\": {\"a\": \"..\"}}");
    refuse("shards", TUFF_ERROR_INVALID_FILE, "wanted the name of a file in the folder");
    write_index("{\"weight_map\": {\"a\": 1}}");
    refuse("shards", TUFF_ERROR_INVALID_FILE, "wanted the name of a file in the folder");
    write_index("{\"weight_map\": {}}");
    refuse("shards", TUFF_ERROR_INVALID_FILE, "the weight_map is empty");
    write_index("{}");
    refuse("shards", TUFF_ERROR_INVALID_FILE, "has no 'weight_map', wanted an object");
}

static void test_refuses_other_weights(void **state)
{
    (void)state;
    const char *folder = make_folder("pickle");
    refuse("pickle", TUFF_ERROR_IO, "the folder has neither model.safetensors nor model.safetensors.index.json");
    tuff__check_write_text(tuff__check_path("pickle/pytorch_model.bin"), "");
    refuse("pickle", TUFF_ERROR_INVALID_FILE, "save_pretrained(DIR) writes model.safetensors");
    assert_true(tuff__checkpoint_has_weights(folder));
    refuse("nowhere", TUFF_ERROR_IO, "is not a folder that can be read");
    tuff__check_write_text(tuff__check_path("pickle/model.safetensors"), "");
    refuse("pickle", TUFF_ERROR_INVALID_FILE, "it is empty");
}

/* Weights under names that are not read are weights: nobody wants such a folder to be initialised anew. */
static void test_names_weights_it_cannot_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *message;
    } rows[] = {
        {"model-00001-of-00002.safetensors", "has weights in 'model-00001-of-00002.safetensors', but neither"},
        {"pytorch_model.safetensors", "has weights in 'pytorch_model.safetensors', but neither"},
        {"adapter_model.bin", "has its weights in 'adapter_model.bin', which is not read"},
        {"tf_model.h5", "has its weights in 'tf_model.h5', which is not read"},
        {"flax_model.msgpack", "has its weights in 'flax_model.msgpack', which is not read"},
        {"bert_model.ckpt.index", "has its weights in 'bert_model.ckpt.index', which is not read"},
        {"last.ckpt", "has its weights in 'last.ckpt', which is not read"},
    };
    const char *folder = make_folder("odd");
    tuff__check_write_text(tuff__check_path("odd/training_args.bin"), "");
    assert_false(tuff__checkpoint_has_weights(folder));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[100];
        snprintf(path, sizeof path, "odd/%s", rows[i].name);
        tuff__check_write_text(tuff__check_path(path), "");
        assert_true(tuff__checkpoint_has_weights(folder));
        refuse("odd", TUFF_ERROR_INVALID_FILE, rows[i].message);
        assert_int_equal(tuff__file_remove(tuff__check_path(path)), TUFF_SUCCESS);
    }
    char command[300];
    snprintf(command, sizeof command, "ln -s none '%s'", tuff__check_path("odd/model.safetensors"));
    if (system(command) != 0)
        skip();
    assert_true(tuff__checkpoint_has_weights(folder));
    refuse("odd", TUFF_ERROR_IO, "odd/model.safetensors: is no file, or a link that leads to none");
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static tuff_status fill(tuff__checkpoint_save *save, const char *config)
{
    const tuff__safetensors_item item = {.name = "a", .shape = {.rank = 1, .dims = {6}}, .data = numbers};
    TUFF_TRY(tuff__checkpoint_save_text(save, "config.json", config, strlen(config)));
    TUFF_TRY(tuff__checkpoint_save_text(save, "1_Pooling/config.json", "{}", 2));
    return tuff__checkpoint_save_tensors(save, "model.safetensors", &item, 1);
}

static void save_folder(const char *folder, const char *config)
{
    tuff__checkpoint_save *save = NULL;
    if (tuff__checkpoint_save_begin(folder, &save) != TUFF_SUCCESS || fill(save, config) != TUFF_SUCCESS ||
        tuff__checkpoint_save_commit(save) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    tuff__checkpoint_save_destroy(save);
}

/* How many entries the test's folder has whose names begin with `prefix`. */
static size_t count_entries(const char *prefix)
{
    char **names = NULL;
    size_t count = 0, found = 0;
    assert_int_equal(tuff__directory_list(tuff__check_folder, &names, &count), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++) {
        found += strncmp(names[i], prefix, strlen(prefix)) == 0;
        tuff__free(names[i]);
    }
    tuff__free(names);
    return found;
}

static void test_save_makes_and_replaces(void **state)
{
    (void)state;
    save_folder(tuff__check_path("deep/down/"), "first");
    tuff__check_content(tuff__check_path("deep/down/config.json"), "first");
    save_folder(tuff__check_path("save"), "first");
    tuff__check_write_text(tuff__check_path("save/model-00001-of-00002.safetensors"), "stale");
    tuff__check_write_text(tuff__check_path("save/model.safetensors.index.json"), "stale");
    tuff__check_write_text(tuff__check_path("save/notes.txt"), "mine");
    assert_int_equal(tuff__directory_create(tuff__check_path("save/checkpoint-10/x")), TUFF_SUCCESS);
    tuff__check_write_text(tuff__check_path("save/checkpoint-10/x/y"), "kept");
    tuff__check_write_text(tuff__check_path("save/1_Pooling/extra"), "kept");
    save_folder(tuff__check_path("save"), "second");
    tuff__check_content(tuff__check_path("save/config.json"), "second");
    tuff__check_content(tuff__check_path("save/1_Pooling/config.json"), "{}");
    tuff__check_content(tuff__check_path("save/1_Pooling/extra"), "kept");
    tuff__check_content(tuff__check_path("save/notes.txt"), "mine");
    tuff__check_content(tuff__check_path("save/checkpoint-10/x/y"), "kept");
    assert_false(tuff__file_exists(tuff__check_path("save/model-00001-of-00002.safetensors")));
    assert_false(tuff__file_exists(tuff__check_path("save/model.safetensors.index.json")));
    assert_int_equal(count_entries("save"), 1);
    tuff__checkpoint *checkpoint = NULL;
    assert_int_equal(tuff__checkpoint_open(tuff__check_path("save"), &checkpoint), TUFF_SUCCESS);
    assert_int_equal(tuff__check_find(checkpoint, "a")->count, 6);
    tuff__checkpoint_destroy(checkpoint);
}

static void test_dropped_names_stay_behind(void **state)
{
    (void)state;
    tuff__checkpoint_save *save = NULL;
    const char *folder = tuff__check_path("drop");
    save_folder(folder, "first");
    tuff__check_write_text(tuff__check_path("drop/tokenizer.json"), "old");
    tuff__check_write_text(tuff__check_path("drop/1_Pooling/tokenizer.json"), "kept");
    assert_int_equal(tuff__checkpoint_save_begin(folder, &save), TUFF_SUCCESS);
    assert_int_equal(tuff__checkpoint_save_drop(save, "tokenizer.json"), TUFF_SUCCESS);
    assert_int_equal(tuff__checkpoint_save_drop(save, "config.json"), TUFF_SUCCESS);
    assert_int_equal(fill(save, "second"), TUFF_SUCCESS);
    assert_int_equal(tuff__checkpoint_save_commit(save), TUFF_SUCCESS);
    tuff__checkpoint_save_destroy(save);
    assert_false(tuff__file_exists(tuff__check_path("drop/tokenizer.json")));
    tuff__check_content(tuff__check_path("drop/1_Pooling/tokenizer.json"), "kept"); /* only at the top */
    tuff__check_content(tuff__check_path("drop/config.json"), "second");            /* written anew */
}

/* However the folder is called, it is the folder that is replaced. */
static void test_save_by_other_names(void **state)
{
    (void)state;
    char command[300];
    tuff__checkpoint_save *save = NULL;
    save_folder(tuff__check_path("named"), "first");
    save_folder(tuff__check_path("named/."), "second");
    tuff__check_content(tuff__check_path("named/config.json"), "second");
    save_folder(tuff__check_path("named/1_Pooling/.."), "third");
    tuff__check_content(tuff__check_path("named/config.json"), "third");
    tuff__check_failed(tuff__checkpoint_save_begin("", &save), TUFF_ERROR_INVALID_ARGUMENT, "is empty");
    tuff__check_failed(tuff__checkpoint_save_begin("/", &save), TUFF_ERROR_INVALID_ARGUMENT,
                       "/: is the root of a file system, which cannot be replaced as a whole");
    assert_null(save);
    snprintf(command, sizeof command, "cd '%s' && ln -s named linkname && ln -s waiting waits", tuff__check_folder);
    if (system(command) != 0)
        skip();
    save_folder(tuff__check_path("linkname"), "fourth");
    tuff__check_content(tuff__check_path("named/config.json"), "fourth");
    save_folder(tuff__check_path("waits"), "fifth");
    tuff__check_content(tuff__check_path("waiting/config.json"), "fifth");
    snprintf(command, sizeof command, "test -L '%s' && test -L '%s'", tuff__check_path("linkname"),
             tuff__check_path("waits"));
    assert_int_equal(system(command), 0);
    assert_int_equal(count_entries("named"), 1);
    assert_int_equal(count_entries("waiting"), 1);
}

/* When nothing but the renaming fails, what was to be saved is not thrown away. */
static void test_failed_renaming_keeps_the_new_folder(void **state)
{
    (void)state;
    char aside[200];
    tuff__checkpoint_save *save = NULL;
    assert_int_equal(tuff__checkpoint_save_begin(tuff__check_path("taken"), &save), TUFF_SUCCESS);
    assert_int_equal(fill(save, "trained"), TUFF_SUCCESS);
    snprintf(aside, sizeof aside, "%s.tmp-%llu/config.json", tuff__check_path("taken"),
             (unsigned long long)tuff__process_id());
    tuff__check_write_text(tuff__check_path("taken"), "a file in the meantime");
    tuff__check_failed(tuff__checkpoint_save_commit(save), TUFF_ERROR_IO,
                       "taken: cannot replace: Not a directory; what was to be saved is kept as '");
    tuff__checkpoint_save_destroy(save);
    tuff__check_content(tuff__check_path("taken"), "a file in the meantime");
    tuff__check_content(aside, "trained");
}

static void test_links_are_carried_as_links(void **state)
{
    (void)state;
    char command[300];
    save_folder(tuff__check_path("linked"), "first");
    snprintf(command, sizeof command, "cd '%s' && ln -s . loop && ln -s config.json alias && ln -s none dangling",
             tuff__check_path("linked"));
    if (system(command) != 0)
        skip();
    save_folder(tuff__check_path("linked"), "second");
    tuff__check_content(tuff__check_path("linked/alias"), "second");
    tuff__check_content(tuff__check_path("linked/loop/loop/config.json"), "second");
}

static void count_left(void *user, tuff_log_level level, const char *message)
{
    *(int *)user += level == TUFF_LOG_WARNING && strstr(message, "remove") && strstr(message, "killed.tmp-1");
}

static void test_what_a_killed_run_left_is_told(void **state)
{
    (void)state;
    int warnings = 0;
    tuff_set_log(count_left, &warnings);
    save_folder(tuff__check_path("killed"), "first");
    assert_int_equal(warnings, 0);
    assert_int_equal(tuff__directory_create(tuff__check_path("killed.tmp-1")), TUFF_SUCCESS);
    save_folder(tuff__check_path("killed"), "second");
    tuff_set_log(NULL, NULL);
    assert_int_equal(warnings, 1);
    assert_true(tuff__is_directory(tuff__check_path("killed.tmp-1")));
}

static void test_abandoned_save_leaves_nothing(void **state)
{
    (void)state;
    tuff__checkpoint_save *save = NULL;
    save_folder(tuff__check_path("abandon"), "first");
    assert_int_equal(tuff__checkpoint_save_begin(tuff__check_path("abandon"), &save), TUFF_SUCCESS);
    assert_int_equal(fill(save, "second"), TUFF_SUCCESS);
    assert_int_equal(count_entries("abandon"), 2);
    tuff__checkpoint_save_destroy(save);
    assert_int_equal(count_entries("abandon"), 1);
    tuff__check_content(tuff__check_path("abandon/config.json"), "first");
    tuff__checkpoint_save_destroy(NULL);
}

static void test_save_refuses_foreign_folders(void **state)
{
    (void)state;
    tuff__checkpoint_save *save = NULL;
    make_folder("home");
    tuff__check_write_text(tuff__check_path("home/thesis.txt"), "mine");
    tuff__check_failed(tuff__checkpoint_save_begin(tuff__check_path("home"), &save), TUFF_ERROR_INVALID_ARGUMENT,
                       "holds 'thesis.txt' and no config.json, so it is not a model's folder");
    assert_null(save);
    tuff__check_failed(tuff__checkpoint_save_begin(tuff__check_path("home/thesis.txt"), &save),
                       TUFF_ERROR_INVALID_ARGUMENT, "is a file, wanted a folder");
    assert_int_equal(count_entries("home"), 1);
    make_folder("run/checkpoint-5");
    tuff__check_write_text(tuff__check_path("run/log.jsonl"), "{}");
    save_folder(tuff__check_path("run"), "trained");
    tuff__check_content(tuff__check_path("run/log.jsonl"), "{}");
    assert_true(tuff__is_directory(tuff__check_path("run/checkpoint-5")));
}

static void test_failed_file_keeps_the_old_folder(void **state)
{
    (void)state;
    char command[600];
    tuff__checkpoint_save *save = NULL;
    const unsigned long long id = (unsigned long long)tuff__process_id();
    const tuff__safetensors_item item = {.name = "a", .shape = {.rank = 1, .dims = {6}}, .data = numbers};
    save_folder(tuff__check_path("full"), "first");
    assert_int_equal(tuff__checkpoint_save_begin(tuff__check_path("full"), &save), TUFF_SUCCESS);
    snprintf(command, sizeof command, "test -c /dev/full && ln -s /dev/full '%s.tmp-%llu/model.safetensors.tmp-%llu'",
             tuff__check_path("full"), id, id);
    if (system(command) == 0)
        tuff__check_failed(tuff__checkpoint_save_tensors(save, "model.safetensors", &item, 1), TUFF_ERROR_IO,
                           "No space left on device");
    tuff__checkpoint_save_destroy(save);
    tuff__check_content(tuff__check_path("full/config.json"), "first");
    assert_true(tuff__file_exists(tuff__check_path("full/model.safetensors")));
    assert_int_equal(count_entries("full"), 1);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    const char *folder = "oom";
    tuff_status status = TUFF_ERROR_OUT_OF_HOST_MEMORY;
    save_folder(tuff__check_path(folder), "first");
    tuff__check_write_text(tuff__check_path("oom/notes.txt"), "mine");
    for (uint64_t n = 1; status != TUFF_SUCCESS; n++) {
        tuff__checkpoint_save *save = NULL;
        tuff__checkpoint *checkpoint = NULL;
        assert_true(n < 500);
        tuff__alloc_fail_at(n);
        status = tuff__checkpoint_save_begin(tuff__check_path(folder), &save);
        if (status == TUFF_SUCCESS)
            status = fill(save, "second");
        if (status == TUFF_SUCCESS)
            status = tuff__checkpoint_save_commit(save);
        if (status == TUFF_SUCCESS)
            status = tuff__checkpoint_open(tuff__check_path(folder), &checkpoint);
        tuff__alloc_fail_at(0);
        tuff__checkpoint_save_destroy(save);
        tuff__checkpoint_destroy(checkpoint);
        assert_true(tuff__file_exists(tuff__check_path("oom/model.safetensors")));
        tuff__check_content(tuff__check_path("oom/notes.txt"), "mine");
    }
    tuff__check_content(tuff__check_path("oom/config.json"), "second");
    assert_int_equal(count_entries("oom"), 1);
}

static int create_folder(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_checkpoint");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_file),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_refuses_broken_index),
        cmocka_unit_test(test_refuses_other_weights),
        cmocka_unit_test(test_names_weights_it_cannot_read),
        cmocka_unit_test(test_save_makes_and_replaces),
        cmocka_unit_test(test_dropped_names_stay_behind),
        cmocka_unit_test(test_save_by_other_names),
        cmocka_unit_test(test_failed_renaming_keeps_the_new_folder),
        cmocka_unit_test(test_links_are_carried_as_links),
        cmocka_unit_test(test_what_a_killed_run_left_is_told),
        cmocka_unit_test(test_abandoned_save_leaves_nothing),
        cmocka_unit_test(test_save_refuses_foreign_folders),
        cmocka_unit_test(test_failed_file_keeps_the_old_folder),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, create_folder, tuff__check_folder_remove);
}
