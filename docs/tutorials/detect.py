# %% [markdown]
# # detect
