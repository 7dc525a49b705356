#include <stdlib.h>
#include "request.h"

/* Appends to an array that ends by NULL. */
static int append(char ***array, size_t *count, char *text)
{
	char **longer;
	if (text == NULL || *count >= MAX_WORDS || (longer = realloc(*array, (*count + 2) * sizeof(char *))) == NULL)
		return -1;
	longer[(*count)++] = text;
	longer[*count] = NULL;
	*array = longer;
	return 1;
}

static int set(char **place, char *text)
{
	*place = text;
	return text == NULL ? -1 : 1;
}

int request_take(struct request *request, const struct frame *frame)
{
	struct cursor cursor = cursor_of(frame);
	switch (frame->type) {
	case FRAME_ARGUMENT:
		return append(&request->arguments, &request->argument_count, take_string(&cursor));
	case FRAME_VARIABLE:
		return append(&request->variables, &request->variable_count, take_string(&cursor));
	case FRAME_USER:
		return set(&request->user, take_string(&cursor));
	case FRAME_DIRECTORY:
		return set(&request->directory, take_string(&cursor));
	case FRAME_TERMINAL:
		request->has_terminal = 1;
		request->rows = take_u16(&cursor);
		request->columns = take_u16(&cursor);
		return cursor.bad ? -1 : 1;
	default:
		return 0;
	}
}
